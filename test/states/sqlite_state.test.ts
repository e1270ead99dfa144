// A database in use is saved at the instant of the call, and replaced only by one that is whole.
import { chmod, lstat, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { fileBackend, type SnapshotLocator, StateStore } from "snapkeep";
import { type SqliteDatabase, sqliteState } from "snapkeep/states";
import { stateConformance } from "snapkeep/testing";
import { describe, expect, it } from "vitest";
import { fastFolder } from "../backend/temporary.ts";
import { rejection } from "../store/states.ts";
import { conforms, holding, saved, storeOf } from "./kept.ts";

interface Database extends SqliteDatabase {
  exec(sql: string): unknown;
}
type Driver = new (path: string) => Database;

/** A driver; `undefined` where this runtime has none of that name. */
async function driverOf(module: string, type: string): Promise<Driver | undefined> {
  try {
    const Driver = (await import(/* @vite-ignore */ module) as Record<string, Driver>)[type] as Driver;
    new Driver(":memory:").close(); // native code may be missing, or not for this runtime
    return Driver;
  } catch (error) {
    process.stdout.write(`skipped: sqliteState with ${module}: ${(error as Error).message.split("\n")[0]}\n`);
    return undefined;
  }
}

async function changedBytes(snapshot: SnapshotLocator, change: (bytes: Uint8Array) => void): Promise<SnapshotLocator> {
  await using reader = await snapshot.open();
  const bytes = await reader.bytes("it/database.sqlite");
  change(bytes);
  return await holding({ "database.sqlite": bytes });
}

for (
  const [module, type] of [["node:sqlite", "DatabaseSync"], ["bun:sqlite", "Database"], ["better-sqlite3", "default"]]
) {
  const found = await driverOf(module as string, type as string);

  describe.skipIf(found === undefined)(`sqliteState with ${module}`, () => {
    const Driver = found as Driver;

    /** A program with a database. */
    async function program(file?: string) {
      const name = file ?? path.join(await fastFolder(), "app.db");
      const held = { database: new Driver(name), reopened: [] as string[] };
      held.database.exec("CREATE TABLE IF NOT EXISTS log (id INTEGER PRIMARY KEY, line TEXT)");
      const state = sqliteState({
        get: () => held.database,
        reopen: (reopened) => {
          held.reopened.push(reopened);
          held.database = new Driver(reopened);
        },
      });
      const add = (line: string): void => void held.database.exec(`INSERT INTO log (line) VALUES ('${line}')`);
      const lines = () =>
        held.database.prepare("SELECT line FROM log ORDER BY id").all().map((row) => (row as { line: string }).line);
      return Object.assign(state, { held, add, lines, file: name });
    }

    it.each(["delete", "wal"])("keeps a database in journal mode %s", async (mode) => {
      const it = await program();
      it.held.database.exec(`PRAGMA journal_mode = ${mode}`);
      it.add("saved");
      const snapshot = await saved(it);
      it.add("lost");
      await storeOf(it).loadState(snapshot);
      expect([it.lines(), it.held.reopened.length]).toEqual([["saved"], 1]);
      it.add("more");
      expect(it.lines()).toEqual(["saved", "more"]);
    });

    it("saves the instant of the call", async () => {
      const it = await program();
      it.add("before");
      const saving = saved(it);
      it.add("after");
      const snapshot = await saving;
      await storeOf(it).loadState(snapshot);
      expect(it.lines()).toEqual(["before"]);
    });

    it("goes on in another process, over an older database with its journals", async () => {
      const first = await program();
      first.add("saved");
      const snapshot = await saved(first);
      const second = await program();
      second.held.database.exec("PRAGMA journal_mode = WAL");
      second.add("older");
      await storeOf(second).loadState(snapshot);
      expect(second.lines()).toEqual(["saved"]);
      expect(second.held.reopened).toEqual([expect.stringMatching(/app\.db$/)]);
    });

    it("removes what an older database left beside the file", async () => {
      const it = await program();
      it.add("saved");
      const snapshot = await saved(it);
      await writeFile(`${it.file}-journal`, "stale");
      await writeFile(`${it.file}-wal`, "stale");
      await storeOf(it).loadState(snapshot);
      expect(it.lines()).toEqual(["saved"]);
      expect(await rejection(readFile(`${it.file}-journal`))).toMatchObject({ code: "ENOENT" });
    });

    it("keeps the rights of the file", async () => {
      const it = await program();
      await chmod(it.file, 0o600);
      await storeOf(it).loadState(await saved(it));
      expect((await lstat(it.file)).mode & 0o777).toBe(0o600);
    });

    it("fails a save during a transaction, and says what to do", async () => {
      const it = await program();
      it.held.database.exec("BEGIN");
      it.add("uncommitted");
      expect(await rejection(saved(it))).toMatchObject({
        code: "STATE_SAVE_FAILED",
        message: expect.stringMatching(/when no transaction is open/),
      });
      it.held.database.exec("ROLLBACK");
      await saved(it);
    });

    it.each<[string, string | Uint8Array]>([
      ["no bytes of a database", "not a database, but long enough to be looked at for one".repeat(40)],
      ["a header alone", "SQLite format 3\0"],
    ])("changes nothing for %s", async (_, bytes) => {
      const it = await program();
      it.add("mine");
      const error = await rejection(storeOf(it).loadState(await holding({ "database.sqlite": bytes })));
      expect(error).toMatchObject({ cause: { code: "ENTRY_INVALID" } });
      expect([it.lines(), it.held.reopened]).toEqual([["mine"], []]);
      expect(await rejection(readFile(`${it.file}.snapkeep-new`))).toMatchObject({ code: "ENOENT" });
    });

    it("changes nothing for a database whose pages are damaged", async () => {
      const it = await program();
      for (let line = 0; line < 500; line++) it.add(`line ${line} `.repeat(20));
      const snapshot = await changedBytes(await saved(it), (bytes) => bytes.fill(0xff, 4096 * 3, 4096 * 4));
      const error = await rejection(storeOf(it).loadState(snapshot));
      expect(error).toMatchObject({ cause: { code: "ENTRY_INVALID" } });
      expect([it.lines().length, it.held.reopened]).toEqual([500, []]);
    });

    it("can be rolled back when it cannot be opened again", async () => {
      const it = await program();
      it.add("saved");
      const snapshot = await saved(it);
      it.add("now");
      let failures = 1;
      const failing = sqliteState({
        get: () => it.held.database,
        reopen: (file) => {
          if (failures-- > 0) throw new Error("no");
          it.held.database = new Driver(file);
        },
      });
      const folder = path.join(await fastFolder(), "states");
      const store = new StateStore(fileBackend(folder, { durability: "none" })).register("it", failing);
      expect(await rejection(store.loadState(snapshot, { rollback: true }))).toMatchObject({
        code: "STATE_LOAD_FAILED",
      });
      expect(it.lines()).toEqual(["saved", "now"]);
    });

    it("fails a load while another connection uses the database in WAL mode, and changes nothing", async () => {
      const it = await program();
      it.held.database.exec("PRAGMA journal_mode = WAL");
      it.add("mine");
      const snapshot = await saved(it);
      it.add("more");
      const other = new Driver(it.file);
      other.exec("BEGIN");
      other.prepare("SELECT * FROM log").all();
      expect(await rejection(storeOf(it).loadState(snapshot))).toMatchObject({
        message: expect.stringMatching(/close the other connections/),
      });
      expect(it.lines()).toEqual(["mine", "more"]);
      other.exec("COMMIT");
      other.close();
    });

    conforms(
      stateConformance(() => program(), (it) => it.add("changed")),
      it,
    );

    it("refuses a database in memory, and what is none", async () => {
      const memory = new Driver(":memory:");
      const inMemory = sqliteState({ get: () => memory, reopen() {} });
      expect(await rejection(saved(inMemory))).toMatchObject({ message: expect.stringMatching(/in memory/) });
      expect(await rejection(saved(sqliteState({ get: () => null as never, reopen() {} })))).toMatchObject({
        message: expect.stringMatching(/get\(\) must return/),
      });
      memory.close();
    });
  });
}

describe("sqliteState's options", () => {
  it("are refused where they are none", () => {
    expect(() => sqliteState({ get: () => ({}) } as never)).toThrow(/reopen/);
    expect(() => sqliteState({ get: () => ({}), reopen() {}, path: "" } as never)).toThrow(/path/);
  });
});
