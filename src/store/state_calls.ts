// Finds a state that calls its own store from within its own saveState, loadState or migration: the call would wait for itself.
import { AsyncLocalStorage } from "node:async_hooks";

interface StateCall {
  readonly store: object;
  readonly outer: StateCall | undefined;
  isRunning: boolean;
}

const calls = new AsyncLocalStorage<StateCall>();
let running = 0;

/**
 * Calls code of a state at once, and remembers until its promise settles which store called it.
 *
 * @param store The store that calls.
 * @param call The call.
 * @returns What the call returns.
 */
export async function callState<T>(store: object, call: () => T | PromiseLike<T>): Promise<T> {
  const entered: StateCall = { store, outer: runningCall(), isRunning: true };
  running++;
  try {
    return await calls.run(entered, call);
  } finally {
    entered.isRunning = false;
    // Before Node 24, tracking makes every promise of the program slower.
    if (--running === 0) calls.disable();
  }
}

/**
 * Throws if a state of a store is calling that store.
 *
 * @param store The store that is called.
 * @param action What it is to do: `save`.
 * @throws {TypeError} If the call comes from within a state's method that still runs.
 */
export function assertNotInside(store: object, action: string): void {
  for (let call = runningCall(); call !== undefined; call = call.outer) {
    if (call.store !== store || !call.isRunning) continue;
    throw new TypeError(
      `Cannot ${action}: a state calls its own store inside its saveState, loadState or migration, ` +
        "and it would wait for itself; call the store when that method has ended",
    );
  }
}

function runningCall(): StateCall | undefined {
  let call = calls.getStore();
  while (call !== undefined && !call.isRunning) call = call.outer;
  return call;
}
