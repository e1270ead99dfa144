// Every call of the backend contract fails once, and from then on, in every operation.
import { everyCallFails } from "./strike.ts";
import { fileBackendWorlds, memoryBackendWorlds } from "./worlds.ts";

everyCallFails("a call of the backend on files", fileBackendWorlds, 20);
everyCallFails("a call of the backend in memory", memoryBackendWorlds, 20);
