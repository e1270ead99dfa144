// Locks the note of a snapshot, says so, and holds the lock until it is killed.
import process from "node:process";
import { fileBackend } from "../../mod.ts";

const [folder = "", name = ""] = process.argv.slice(2);
await fileBackend(folder).notes.lock?.(name);
process.stdout.write("held\n");
setInterval(() => {}, 1000);
