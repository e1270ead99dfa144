// Finds a state that calls its own store from within its own saveState, loadState or migration: the call would wait for itself.
import { RunningCalls } from "../runtime/running_calls.ts";

const calls = new RunningCalls<object>();

/**
 * Calls code of a state at once, and remembers until its promise settles which store called it.
 *
 * @param store The store that calls.
 * @param call The call.
 * @returns What the call returns.
 */
export function callState<T>(store: object, call: () => T | PromiseLike<T>): Promise<T> {
  return calls.run(store, call);
}

/**
 * Throws if a state of a store is calling that store.
 *
 * @param store The store that is called.
 * @param action What it is to do: `save`.
 * @throws {TypeError} If the call comes from within a state's method that still runs.
 */
export function assertNotInside(store: object, action: string): void {
  for (const caller of calls.current()) {
    if (caller !== store) continue;
    throw new TypeError(
      `Cannot ${action}: a state calls its own store inside its saveState, loadState or migration, ` +
        "and it would wait for itself; call the store when that method has ended",
    );
  }
}
