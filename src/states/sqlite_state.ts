// An SQLite database in use, through whatever driver the program has: node:sqlite, bun:sqlite and better-sqlite3 share the few methods that are needed.
import { lookAt, move, removeAll, removeName, writeNew } from "../file/real_tree.ts";
import { readFrom, workFolderOf } from "../file/work_folder.ts";
import { reasonOf, storageError } from "../model/errors.ts";
import { show } from "../model/show.ts";
import type { PersistentState, StateReader, StateWriter } from "../model/state.ts";
import { iterate } from "../runtime/bytes.ts";
import { assertFunctions } from "./accessors.ts";
import { invalidEntry } from "./reading.ts";

const PATH = "database.sqlite";
/** What SQLite keeps beside a database; of another database, it would destroy the new one. */
const COMPANIONS = ["-wal", "-shm", "-journal"];
const MAX_FINDINGS = 5;
/** Where the header of a database has its schema cookie. */
const COOKIE_AT = 40;

/** A prepared statement, as the drivers have it. */
export interface SqliteStatement {
  /** Runs it. */
  run(...values: string[]): unknown;
  /** Runs it and returns its rows. */
  all(...values: string[]): unknown[];
}

/** An open database: a `DatabaseSync` of node:sqlite, a `Database` of bun:sqlite or of better-sqlite3. */
export interface SqliteDatabase {
  /** Prepares a statement. */
  prepare(sql: string): SqliteStatement;
  /** Closes it. */
  close(): unknown;
}

/** How {@link sqliteState} reaches its database. */
export interface SqliteAccessors {
  /** Returns the open database; called at the instant of a save, and at the begin of a load. */
  readonly get: () => SqliteDatabase;
  /** Opens the database at `path` again, after a load has closed it and replaced its file. A promise that it returns is awaited. */
  readonly reopen: (path: string) => unknown;
}

/**
 * Returns a state that is an SQLite database in use.
 *
 * A save copies the database at the instant of the call, with `VACUUM INTO`: it blocks the program meanwhile, for 100 MB about 0.3 s and as long as the disk takes to write them. It holds what is committed; an
 * open transaction of this connection fails it. As any VACUUM, it may change the rowids of tables without an INTEGER PRIMARY KEY, and the copy is
 * not in WAL mode.
 *
 * A load writes the copy beside the database and checks it (`integrity_check`, with `trusted_schema=OFF` and no extensions) before it changes
 * anything. Then it closes the database, removes `-wal`, `-shm` and `-journal`, renames the copy over the file, and calls `reopen`, which should set
 * `journal_mode` and other pragmas again. Prepared statements of the old connection are of no use then. If another connection is using the
 * database in WAL mode, the load fails. Set `PRAGMA trusted_schema=OFF` in `reopen` if you load snapshots of others.
 *
 * @param options Gets the open database, and opens it again.
 * @returns The state, to be registered.
 * @throws {TypeError} If a function is missing.
 * @example With node:sqlite; the same with bun:sqlite and better-sqlite3
 * ```ts needs=node:sqlite
 * import { DatabaseSync } from "node:sqlite";
 * import { StateStore } from "snapkeep";
 * import { sqliteState } from "snapkeep/states";
 *
 * let database = new DatabaseSync("app.db");
 * const store = new StateStore("states").register("database", sqliteState({
 *   get: () => database,
 *   reopen: (path) => database = new DatabaseSync(path),
 * }));
 * await store.resume();
 * database.exec("CREATE TABLE IF NOT EXISTS log (line TEXT)");
 * await store.saveState();
 * database.close();
 * ```
 */
export function sqliteState(options: SqliteAccessors): PersistentState {
  const names = { get: "a function", reopen: "a function" } as const;
  assertFunctions("an sqliteState", options, ["get", "reopen"], names);
  return new DatabaseState(options);
}

class DatabaseState implements PersistentState {
  readonly #accessors: SqliteAccessors;
  /** Where the database lies; known since it was open for the first time. */
  #path: string | undefined;
  /** The one that a load has closed: bun:sqlite does not tell whether a database is open. */
  #closed: SqliteDatabase | undefined;

  constructor(accessors: SqliteAccessors) {
    this.#accessors = accessors;
  }

  async saveState(out: StateWriter): Promise<void> {
    const database = this.#database();
    this.#pathOf(database);
    const folder = workFolderOf(out);
    try {
      const copy = `${folder.path}/${PATH}`;
      try {
        using(database, "VACUUM INTO ?", (statement) => statement.run(copy));
      } catch (cause) {
        const isBusy = /within a transaction/.test(reasonOf(cause));
        const remedy = isBusy ? "; save when no transaction is open" : "";
        const error = new Error(`Cannot copy the database "${this.#path}": ${reasonOf(cause)}${remedy}`, { cause });
        throw /disk.*full|SQLITE_FULL/.test(reasonOf(cause)) ? storageError("copy", copy, full(error)) : error;
      }
      await out.write(PATH, withCookie(readFrom(folder.path, PATH)), { sizeBytes: lookAt(copy)?.sizeBytes ?? 0 });
    } finally {
      await folder.remove();
    }
  }

  async loadState(from: StateReader): Promise<void> {
    const database = this.#database();
    const path = this.#pathOf(database);
    const copy = `${path}.snapkeep-new`;
    await removeDatabase(copy);
    try {
      await writeNew(copy, iterate(from.stream(PATH)), { mode: lookAt(path)?.mode, sync: true });
      check(from, copy, database);
      if (this.#isOpen(database)) {
        leaveWal(path, database);
        database.close();
        this.#closed = database;
      }
      for (const companion of COMPANIONS) removeName(path + companion);
      move(copy, path);
    } finally {
      await removeDatabase(copy);
    }
    await this.#accessors.reopen(path);
  }

  #database(): SqliteDatabase {
    const database: unknown = this.#accessors.get();
    const { prepare, close } = (database ?? {}) as Partial<SqliteDatabase>;
    if (typeof prepare === "function" && typeof close === "function") return database as SqliteDatabase;
    throw new TypeError(`Cannot use ${show(database)} as a database: get() must return the open database`);
  }

  #isOpen(database: SqliteDatabase): boolean {
    const { isOpen, open } = database as { readonly isOpen?: unknown; readonly open?: unknown };
    return database !== this.#closed && isOpen !== false && open !== false;
  }

  #pathOf(database: SqliteDatabase): string {
    if (this.#isOpen(database)) {
      const main = rowsOf(database, "PRAGMA database_list").find(({ name }) => name === "main");
      this.#path = typeof main?.["file"] === "string" ? main["file"] : "";
    }
    if (this.#path) return this.#path;
    throw new TypeError("Cannot use a database in memory: it has no file that a load could replace");
  }
}

/** The bytes of a copy, with the number that every VACUUM raises set to 1: equal databases make equal copies. */
async function* withCookie(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  let isFirst = true;
  for await (const chunk of body) {
    if (isFirst && chunk.length >= COOKIE_AT + 4) new DataView(chunk.buffer, chunk.byteOffset).setUint32(COOKIE_AT, 1);
    isFirst = false;
    yield chunk;
  }
}

/** Throws unless a file is a whole database, which is looked at through a connection of its own. */
function check(from: StateReader, path: string, like: SqliteDatabase): void {
  const { constructor } = like as unknown as {
    readonly constructor: new (path: string, options: object) => SqliteDatabase;
  };
  // Extensions are off by default in all of them.
  const options = constructor.name === "DatabaseSync" ? { readOnly: true } : { readonly: true };
  let findings: unknown[];
  try {
    const database = new constructor(path, options);
    try {
      using(database, "PRAGMA trusted_schema = OFF", (statement) => statement.run()); // better-sqlite3: it has no rows
      findings = rowsOf(database, "PRAGMA integrity_check").map((row) => Object.values(row)[0]);
    } finally {
      database.close();
    }
  } catch (cause) {
    throw invalidEntry(from, PATH, `it is not a database: ${reasonOf(cause)}`, "$", cause);
  }
  if (findings.length === 1 && findings[0] === "ok") return;
  throw invalidEntry(from, PATH, `integrity_check found: ${findings.slice(0, MAX_FINDINGS).join("; ")}`);
}

/** A connection in WAL mode that is closed late, after its last statement, would remove the `-wal` of the new database. */
function leaveWal(path: string, database: SqliteDatabase): void {
  const [mode] = rowsOf(database, "PRAGMA journal_mode").map((row) => Object.values(row)[0]);
  if (mode !== "wal") return;
  const way = "close the other connections before a load";
  try {
    const [left] = rowsOf(database, "PRAGMA journal_mode = DELETE").map((row) => Object.values(row)[0]);
    if (left === "delete") return;
  } catch (cause) {
    throw new Error(`Cannot replace the database "${path}": ${reasonOf(cause)}; ${way}`, { cause });
  }
  throw new Error(`Cannot replace the database "${path}": it is in use; ${way}`);
}

function rowsOf(database: SqliteDatabase, sql: string): Record<string, unknown>[] {
  return using(database, sql, (statement) => statement.all()) as Record<string, unknown>[];
}

function using<T>(database: SqliteDatabase, sql: string, use: (statement: SqliteStatement) => T): T {
  const statement = database.prepare(sql) as SqliteStatement & { finalize?: () => void };
  try {
    return use(statement);
  } finally {
    statement.finalize?.(); // bun:sqlite keeps a database open as long as a statement of it lives
  }
}

function full(error: Error): Error {
  return Object.assign(error, { code: "ENOSPC" });
}

async function removeDatabase(path: string): Promise<void> {
  for (const suffix of ["", ...COMPANIONS]) await removeAll(path + suffix);
}
