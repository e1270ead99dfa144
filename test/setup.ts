// What each test leaves behind goes after it. Hooks stand here, and not in the modules that tests share: files that share a
// process evaluate such a module once.
import { afterEach } from "vitest";
import { removeTemporaryFolders } from "./backend/temporary.ts";
import { stopCollecting } from "./backend/warnings.ts";

afterEach(removeTemporaryFolders);
afterEach(stopCollecting);
