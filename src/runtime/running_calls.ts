// Which calls have led to the code that runs now, also behind an await: who waits for its own call waits forever. The only file that knows
// AsyncLocalStorage.
import { AsyncLocalStorage } from "node:async_hooks";

interface Call<What> {
  readonly what: What;
  readonly outer: Call<What> | undefined;
  isRunning: boolean;
}

/** Calls that are running, as the code that they have called sees them. */
export class RunningCalls<What> {
  readonly #calls = new AsyncLocalStorage<Call<What>>();
  #running = 0;

  /**
   * Calls a function at once, and remembers until its promise settles that it is running.
   *
   * @param what What is known of the call.
   * @param call The function.
   * @returns What it returns.
   */
  async run<T>(what: What, call: () => T | PromiseLike<T>): Promise<T> {
    const entered: Call<What> = { what, outer: this.#innermost(), isRunning: true };
    this.#running++;
    try {
      return await this.#calls.run(entered, call);
    } finally {
      entered.isRunning = false;
      // Before Node 24, tracking makes every promise of the program slower.
      if (--this.#running === 0) this.#calls.disable();
    }
  }

  /** The calls that have led to the code that runs now and still run, the innermost first. */
  *current(): Generator<What, void> {
    for (let call = this.#innermost(); call !== undefined; call = call.outer) if (call.isRunning) yield call.what;
  }

  #innermost(): Call<What> | undefined {
    let call = this.#calls.getStore();
    while (call !== undefined && !call.isRunning) call = call.outer;
    return call;
  }
}
