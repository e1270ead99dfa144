// Which call is to fail, and what was called: the one counter that both faulty decorators share.
import { type SnapshotError, storageError } from "../model/errors.ts";
import { assertOptions, type OptionNames } from "../model/options.ts";
import { showType } from "../model/show.ts";

/** A call that went through a faulty decorator. */
export interface FaultCall {
  /** Name of the method, such as `rename`; those of open files and blobs as well. */
  readonly operation: string;
  /** What it was done to; the later path or name where there are two. */
  readonly path: string;
}

/** Which call fails, and how. */
export interface FaultPlan {
  /** Number of the failing call, counted from 1; none fails unless given. */
  readonly at?: number;
  /** Whether all later calls fail too. Default no. */
  readonly forever?: boolean;
  /** The system's code for the failure, such as `ENOSPC`. Default `EIO`. */
  readonly errno?: string;
  /** Which calls are counted and may fail; all unless given. */
  readonly only?: (call: FaultCall) => boolean;
}

const PLAN: OptionNames<FaultPlan> = {
  at: "a number",
  forever: "true or false",
  errno: "a string",
  only: "a function",
};

/**
 * Counts and records the calls of the decorators it is given to, and fails the planned ones.
 *
 * @example Let every sync fail
 * ```ts
 * import { fileBackend, isSnapshotError, StateStore } from "snapkeep";
 * import { Faults, faultyFileSystem, nodeFileSystem } from "snapkeep/testing";
 *
 * const faults = new Faults({ at: 1, forever: true, only: ({ operation }) => operation === "sync" });
 * const store = new StateStore(fileBackend("states", { fileSystem: faultyFileSystem(nodeFileSystem, faults) }));
 * try {
 *   await store.register("it", { saveState: (out) => out.write("a", "b"), loadState() {} }).saveState();
 *   throw new Error("saved");
 * } catch (error) {
 *   if (!isSnapshotError(error, "STORAGE_FAILED")) throw error;
 * }
 * ```
 */
export class Faults {
  /** All calls, in order, also those that failed by themselves. */
  readonly calls: FaultCall[] = [];
  /** The failures that were injected, in order; their stacks begin at the calls. */
  readonly injected: SnapshotError[] = [];
  readonly #open = new Map<object, string>();
  #plan: FaultPlan;
  #counted = 0;

  /**
   * Makes a counter.
   *
   * @param plan What fails; nothing unless given.
   */
  constructor(plan: FaultPlan = {}) {
    assertOptions("plan faults", plan, PLAN);
    this.#plan = plan;
  }

  /** Paths of the files and blobs that were opened and not yet closed. */
  get open(): readonly string[] {
    return [...this.#open.values()];
  }

  /** Plans no more failures. */
  heal(): void {
    this.#plan = {};
  }

  /**
   * Tells whether an error is an injected one, or has one beneath it.
   *
   * @param error Anything that was thrown.
   * @returns Whether following causes, and the errors of an AggregateError, leads to an injected failure.
   */
  isBeneath(error: unknown): boolean {
    if (this.injected.includes(error as SnapshotError)) return true;
    if (error instanceof AggregateError && error.errors.some((inner) => this.isBeneath(inner))) return true;
    return error instanceof Error && error.cause !== undefined && this.isBeneath(error.cause);
  }

  /**
   * Records a call, for decorators.
   *
   * @param operation Name of the method.
   * @param path What it is done to.
   * @throws {SnapshotError} If the call is planned to fail.
   */
  count(operation: string, path: string): void {
    const call = { operation, path };
    this.calls.push(call);
    const { at, forever = false, errno = "EIO", only = () => true } = this.#plan;
    if (at === undefined || !only(call)) return;
    this.#counted++;
    if (this.#counted !== at && !(forever && this.#counted > at)) return;
    const error = storageError(operation, path, Object.assign(new Error(`${errno}: injected`), { code: errno }));
    this.injected.push(error);
    throw error;
  }

  /**
   * Notes that something was opened, for decorators.
   *
   * @param resource What was opened.
   * @param path Its path.
   */
  opened(resource: object, path: string): void {
    this.#open.set(resource, path);
  }

  /**
   * Notes that something was closed, for decorators.
   *
   * @param resource What was closed.
   */
  closed(resource: object): void {
    this.#open.delete(resource);
  }
}

/**
 * Runs an operation again and again, failing its first call, then its second, and so on, until one run makes all its calls
 * untouched.
 *
 * @param run Prepares afresh, does the operation through decorators that share the given faults, and checks what it finds.
 *   What it throws ends the loop.
 * @param plan How the call fails.
 * @returns The faults of all runs in which a call failed.
 * @example Nothing half-saved is ever seen
 * ```ts
 * import { memoryBackend, StateStore } from "snapkeep";
 * import { faultyBackend, forEachFault } from "snapkeep/testing";
 *
 * await forEachFault(async (faults) => {
 *   const backend = memoryBackend();
 *   const store = new StateStore(faultyBackend(backend, faults));
 *   const saved = await store.saveState().catch(() => undefined);
 *   const listed = await new StateStore(backend).list();
 *   if (listed.length !== (saved ? 1 : 0)) throw new Error("half-saved");
 * });
 * ```
 */
export async function forEachFault(
  run: (faults: Faults) => Promise<void>,
  plan: Omit<FaultPlan, "at"> = {},
): Promise<Faults[]> {
  const { at: _at, ...others } = PLAN;
  assertOptions("fail each call", plan, others);
  if (typeof run !== "function") {
    throw new TypeError(`Cannot fail each call: expected a function, but ${showType(run)}`);
  }
  const runs: Faults[] = [];
  while (true) {
    const faults = new Faults({ ...plan, at: runs.length + 1 });
    await run(faults);
    if (faults.injected.length === 0) return runs;
    runs.push(faults);
  }
}
