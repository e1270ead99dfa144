// SQLite with a table of blobs, by node:sqlite with its defaults: one transaction, which ends with SQLite's own syncs.
import { DatabaseSync } from "node:sqlite";

/** @param {import("../job.mjs").SaveJob} job */
export function saveMemory({ entries, out }) {
  return async () => {
    const database = new DatabaseSync(out);
    database.exec(
      "CREATE TABLE entry (path TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT",
    );
    const insert = database.prepare("INSERT INTO entry VALUES (?, ?)");
    database.exec("BEGIN");
    for (const { name, bytes } of entries) insert.run(name, bytes);
    database.exec("COMMIT");
    database.close();
  };
}

/** @param {import("../job.mjs").LoadJob} job */
export function load({ from }) {
  return async () => {
    const database = new DatabaseSync(from, { readOnly: true });
    const loaded = database.prepare("SELECT bytes FROM entry").all().map((
      { bytes },
    ) => bytes);
    database.close();
    return loaded;
  };
}

/** @param {string} from */
export async function openOnce(from) {
  const database = new DatabaseSync(from, { readOnly: true });
  const select = database.prepare("SELECT bytes FROM entry WHERE path = ?");
  return {
    read: async (name) => select.get(name)?.bytes,
    close: async () => database.close(),
  };
}

/** @param {string} from @param {string} name */
export async function readOne(from, name) {
  const { read, close } = await openOnce(from);
  const bytes = await read(name);
  await close();
  return bytes;
}
