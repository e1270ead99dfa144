// The runtime's own timers and clocks, taken once when this is loaded: test frameworks put fakes in the place of the globals,
// and code that waits for a fake never continues.
import { performance } from "node:perf_hooks";
import * as timers from "node:timers";

/** The runtime's `setTimeout`. */
export const setTimeout: typeof timers.setTimeout = timers.setTimeout;
/** The runtime's `clearTimeout`. */
export const clearTimeout: typeof timers.clearTimeout = timers.clearTimeout;
/** The runtime's `setInterval`. */
export const setInterval: typeof timers.setInterval = timers.setInterval;
/** The runtime's `clearInterval`. */
export const clearInterval: typeof timers.clearInterval = timers.clearInterval;
/** The runtime's `setImmediate`. */
export const setImmediate: typeof timers.setImmediate = timers.setImmediate;

/** Milliseconds since 1970, as the system that dates files tells them. */
export const systemMs: () => number = Date.now;

/** Milliseconds of a clock that is never set. */
export const monotonicMs = (): number => performance.now();
