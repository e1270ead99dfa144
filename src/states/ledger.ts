// Actions on the outside world, each done once. What was done does not go away when a program is rewound, so the record of it lies in a journal
// beside the snapshots, which only grows; snapshots hold a copy for the way to other places.
import { showAddress } from "../model/address.ts";
import { isSnapshotError, reasonOf, SnapshotError } from "../model/errors.ts";
import type { Journal } from "../model/backend.ts";
import { assertOptions } from "../model/options.ts";
import { show } from "../model/show.ts";
import type { PersistentState, StateHome, StateReader, StateWriter } from "../model/state.ts";
import { loggerOf } from "../runtime/logging.ts";
import { type LedgerRecord, lineOf, outcomeOf, recordOf, storedOutcome, type StoredRecord } from "./ledger/record.ts";
import { invalidEntry } from "./reading.ts";

const PATH = "ledger.jsonl";
const MAX_REASON = 1_000;

/** How {@link Ledger.once} treats an action that was in flight when a program ended. */
export interface OnceOptions {
  /**
   * `reject`: throws `LEDGER_IN_FLIGHT`. `run`: runs the action again.
   *
   * @default "reject"
   */
  readonly inFlight?: "reject" | "run";
}

/**
 * A record of actions on the outside world, such as payments and mails, that makes each of them happen once.
 *
 * Register it under a name; its journal then lies beside the snapshots, in `.NAME.journal`. `once` appends the start and the outcome of an action to
 * the journal and syncs both. A resume, a rewind to an older snapshot and `startFresh()` forget nothing: a key names an action permanently.
 * Snapshots hold a copy of the record, so it is also there where a snapshot is loaded at another place. A place that several programs share has
 * records of each; a program sees its own.
 *
 * An outcome is any value that `structuredState` keeps, without instances of classes. Outcomes lie unencrypted in the journal and in snapshots:
 * return no secrets. The record stays in memory; `forget` shortens it.
 *
 * @example Charge a card once, however often the program is killed
 * ```ts
 * import { StateStore } from "snapkeep";
 * import { Ledger } from "snapkeep/states";
 *
 * const pay = async (idempotencyKey: string) => ({ receipt: `for ${idempotencyKey}` });
 *
 * const ledger = new Ledger();
 * const store = new StateStore("states").register("ledger", ledger);
 * await store.resume();
 * for (const key of ledger.inFlight) console.warn(`${key} may have happened or not`);
 * const { receipt } = await ledger.once("charge-42", pay);
 * console.log(receipt);
 * ```
 */
export class Ledger implements PersistentState {
  /** What is known of each key. */
  readonly #records = new Map<string, StoredRecord>();
  readonly #running = new Map<string, Promise<unknown>>();
  #home: StateHome | undefined;
  /** The journal of the name it is registered under, and those of former names. */
  #journals: readonly [Journal, ...Journal[]] | undefined;
  #reading: Promise<void> | undefined;
  #isRead = false;
  #since: readonly LedgerRecord[] = [];

  /**
   * Keys of the actions that had begun and not ended when a program ended. Complete once `resume()` has fulfilled, also if it found no snapshot.
   */
  get inFlight(): readonly string[] {
    return [...this.#records.values()].filter(({ key, status }) => status === "started" && !this.#running.has(key))
      .map(({ key }) => key);
  }

  /**
   * What has happened since the snapshot that was loaded last was saved: the actions that the snapshot does not know, or knows in another status.
   */
  get since(): readonly LedgerRecord[] {
    return this.#since;
  }

  /**
   * Runs an action unless it is recorded, and returns its outcome.
   *
   * Records the start durably, runs the action, and records the outcome durably before it resolves. If the action is recorded as done, it returns the
   * recorded outcome. If the action throws, it is recorded as failed, and a later call runs it again. Concurrent calls of one key
   * share one run. If the outcome cannot be recorded, the call rejects and the action counts as in flight.
   *
   * @param key Names the action permanently, such as `charge-42`. Give it to the outside world as an idempotency key.
   * @param run Does the action; called with the key. Returns the outcome.
   * @param options What to do with an action that was in flight when a program ended.
   * @returns The outcome; a recorded one as a new value for each call.
   * @throws {SnapshotError} `LEDGER_IN_FLIGHT` if the action may have happened or not; `STORAGE_FULL`, `STORAGE_FAILED` if it cannot be recorded.
   * @throws {TypeError} If the ledger is not registered, an argument cannot be used, or the outcome cannot be recorded.
   */
  async once<Outcome>(
    key: string,
    run: (key: string) => Outcome | PromiseLike<Outcome>,
    options: OnceOptions = {},
  ): Promise<Outcome> {
    if (typeof key !== "string" || key === "") {
      throw new TypeError(`Cannot run an action once: the key must be a text that is not empty, not ${show(key)}`);
    }
    const action = `run ${show(key)} once`;
    if (typeof run !== "function") throw new TypeError(`Cannot ${action}: run must be a function, not ${show(run)}`);
    assertOptions(action, options, { inFlight: true });
    const { inFlight = "reject" } = options;
    if (inFlight !== "reject" && inFlight !== "run") {
      throw new TypeError(`Cannot ${action}: inFlight must be "reject" or "run", not ${show(inFlight)}`);
    }
    const shared = this.#running.get(key);
    if (shared !== undefined) return await shared as Outcome;
    const running = this.#once(key, run, inFlight === "run");
    this.#running.set(key, running);
    try {
      return await running;
    } finally {
      this.#running.delete(key);
    }
  }

  /**
   * Removes the records of actions that ended before a time, from memory and from the journal. A later call of `once` with such a key runs
   * the action again. Actions in flight stay. A load of a snapshot that holds such a record brings it back.
   *
   * @param before The time.
   * @returns How many actions were forgotten.
   * @throws {RangeError} If the date is invalid.
   * @throws {SnapshotError} `STORAGE_FULL`, `STORAGE_FAILED`; the journal is as it was.
   */
  async forget(before: Date): Promise<number> {
    const beforeMs = Object.prototype.toString.call(before) === "[object Date]" ? before.getTime() : NaN;
    if (Number.isNaN(beforeMs)) throw new RangeError(`Cannot forget actions before ${show(before)}: give a valid Date`);
    await this.#readAgain();
    const isOld = ({ atMs, status, key }: StoredRecord): boolean =>
      atMs < beforeMs && status !== "started" && !this.#running.has(key);
    const forgotten = new Set([...this.#records.values()].filter(isOld).map(({ key }) => key));
    if (forgotten.size === 0) return 0;
    for (const journal of this.#registered().journals) {
      await journal.rewrite((line) => {
        const record = recordOf(line);
        return record === undefined || this.#isOthers(record) || record.atMs >= beforeMs || !forgotten.has(record.key);
      });
    }
    for (const key of forgotten) this.#records.delete(key);
    return forgotten.size;
  }

  /** Learns where its journal lies; the store calls it. */
  onRegister(home: StateHome): void {
    const { backend, name, formerly } = home;
    const journalOf = backend.journal?.bind(backend);
    if (journalOf === undefined) {
      throw new TypeError(
        `Cannot register the Ledger "${name}" at ${showAddress(backend.uri)}: it needs a folder for its journal; ` +
          "use a store in a folder",
      );
    }
    if (this.#home !== undefined && (this.#home.backend !== backend || this.#home.name !== name)) {
      throw new TypeError(`Cannot register the Ledger "${name}": it is registered as "${this.#home.name}" already`);
    }
    this.#home = home;
    this.#journals = [journalOf(name), ...formerly.map((former) => journalOf(former))];
  }

  /** Saves a copy of the record. */
  async saveState(out: StateWriter): Promise<void> {
    if (!this.#isRead) await this.#readAgain(); // nothing was loaded yet: a fresh start forgets nothing either
    await out.write(PATH, [...this.#records.values()].map((record) => `${lineOf(record)}\n`).join(""));
  }

  /** Adds what the snapshot knows and the journal does not; takes nothing away. */
  async loadState(from: StateReader): Promise<void> {
    const saved = new Map<string, StoredRecord>();
    const lines = (await from.text(PATH)).split("\n");
    if (lines.pop() !== "") throw invalidEntry(from, PATH, "its last line does not end");
    for (const [index, line] of lines.entries()) {
      const record = recordOf(line);
      if (record === undefined) throw invalidEntry(from, PATH, "it is not a record of an action", `line ${index + 1}`);
      saved.set(record.key, record);
    }
    await this.#readAgain();
    const { home, journals: [journal] } = this.#registered();
    const isNews = (record: StoredRecord): boolean => {
      const known = this.#records.get(record.key);
      return known === undefined || known.status !== "done" && record.status === "done";
    };
    const adopted = [...saved.values()].filter(isNews);
    if (adopted.length > 0) {
      await journal.append(adopted.map((record) => encoded({ ...record, program: home.programs[0] })));
    }
    for (const record of adopted.filter(isNews)) this.#records.set(record.key, record); // actions may have ended meanwhile
    this.#since = [...this.#records.values()].filter(({ key, status }) => saved.get(key)?.status !== status).map(shown);
  }

  /** Reads the journal, also where there was nothing to load; the store calls it once all states are loaded. */
  async onLoaded(): Promise<void> {
    await this.#readAgain();
  }

  async #once<Outcome>(
    key: string,
    run: (key: string) => Outcome | PromiseLike<Outcome>,
    mayRepeat: boolean,
  ): Promise<Outcome> {
    await (this.#reading ?? this.#readAgain());
    const known = this.#records.get(key);
    if (known?.status === "done") return outcomeOf(known) as Outcome;
    if (known?.status === "started" && !mayRepeat) throw inFlightError(known);
    await this.#record({ key, status: "started", atMs: this.#registered().home.now() });
    const now = () => this.#registered().home.now();
    let outcome: Outcome;
    try {
      outcome = await run(key);
    } catch (error) {
      const reason = reasonOf(error).slice(0, MAX_REASON);
      await this.#record({ key, status: "failed", atMs: now(), reason }).catch((second: unknown) => {
        throw new AggregateError([error, second], `Cannot record that ${show(key)} has failed: ${reasonOf(second)}`);
      });
      throw error;
    }
    try {
      await this.#record({ key, status: "done", atMs: now(), ...storedOutcome(outcome) });
    } catch (cause) {
      if (isSnapshotError(cause)) throw cause;
      const message = `Cannot record the outcome of ${show(key)}: ${
        reasonOf(cause)
      }; it was run, and counts as in flight`;
      throw new TypeError(message, { cause });
    }
    return outcome;
  }

  async #record(record: StoredRecord): Promise<void> {
    const { home, journals: [journal] } = this.#registered();
    await journal.append([encoded({ ...record, program: home.programs[0] })]);
    this.#records.set(record.key, record);
  }

  #registered(): { readonly home: StateHome; readonly journals: readonly [Journal, ...Journal[]] } {
    if (this.#home !== undefined && this.#journals !== undefined) return { home: this.#home, journals: this.#journals };
    throw new TypeError("Cannot use a Ledger that is not registered: call store.register() first");
  }

  /** Whether a record is another program's, which shares the place. */
  #isOthers({ program }: StoredRecord): boolean {
    const programs = this.#home?.programs ?? [];
    return program !== undefined && programs.length > 0 && !programs.includes(program);
  }

  #readAgain(): Promise<void> {
    const reading = this.#read();
    this.#reading = reading;
    reading.catch(() => this.#reading = undefined);
    return reading;
  }

  async #read(): Promise<void> {
    const { journals, home } = this.#registered();
    const found = new Map<string, StoredRecord>();
    let passedOver = 0;
    for (const journal of [...journals].reverse()) {
      for await (const line of journal.lines()) {
        const record = recordOf(line);
        if (record === undefined) passedOver++;
        else if (!this.#isOthers(record) && found.get(record.key)?.status !== "done") {
          found.set(record.key, { ...record, program: undefined }); // a snapshot says of itself whose it is
        }
      }
    }
    if (passedOver > 0) {
      loggerOf("Ledger").warn("Passed over {count} torn or damaged lines of the journal of '{name}' at '{uri}'", {
        count: passedOver,
        name: home.name,
        uri: home.backend.uri,
      });
    }
    // What was recorded while this read, or could not be written, is known only here.
    for (const [key, record] of found) {
      const known = this.#records.get(key);
      if (known === undefined || known.status !== "done" && !this.#running.has(key)) this.#records.set(key, record);
    }
    this.#isRead = true;
  }
}

const encoded = (record: StoredRecord): Uint8Array => new TextEncoder().encode(lineOf(record));

function shown({ key, status, atMs }: StoredRecord): LedgerRecord {
  return { key, status: status === "started" ? "in flight" : status, at: new Date(atMs) };
}

function inFlightError({ key, atMs }: StoredRecord): SnapshotError {
  const startedAt = new Date(atMs).toISOString();
  const message = `Cannot run ${show(key)} once: it was in flight since ${startedAt}, and may have happened or not; ` +
    'find out by its key, then pass { inFlight: "run" }';
  return new SnapshotError("LEDGER_IN_FLIGHT", message, { key, startedAt });
}
