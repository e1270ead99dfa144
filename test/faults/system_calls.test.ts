// Every system call of every operation fails once, and from then on.
import { everyCallFails } from "./strike.ts";
import { fileWorlds } from "./worlds.ts";

everyCallFails("a system call", fileWorlds, 30);
