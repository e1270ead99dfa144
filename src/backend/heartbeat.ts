// How a writer shows that it lives: it touches a file every few seconds. Process ids say nothing in containers.
import { clearInterval, setInterval } from "node:timers";
import type { FileSystem } from "./file_system.ts";

const BEAT_MS = 5_000;

/** Touches a path until stopped; never keeps the process alive. */
export class Heartbeat {
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(files: FileSystem, path: string) {
    this.#timer = setInterval(() => {
      // A beat that fails (swept away, file system gone) is told by the next write or the publish itself.
      files.touch(path, Date.now()).catch(() => {});
    }, BEAT_MS);
    this.#timer.unref();
  }

  /** Stops it; may be called twice. */
  stop(): void {
    clearInterval(this.#timer);
  }
}
