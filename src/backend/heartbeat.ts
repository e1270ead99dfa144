// How a writer shows that it lives: it touches a file every few seconds. Process ids say nothing in containers.
import { clearInterval, setInterval, systemMs } from "../words/clock.ts";
import type { FileSystem } from "./file_system.ts";

const BEAT_MS = 5_000;

/** Without a sign of life for so long, in milliseconds, a writer is taken for dead unless told otherwise. */
export const STALE_AFTER_MS: number = 10 * 60 * 1000;

/** Touches a path until stopped; never keeps the process alive. */
export class Heartbeat {
  static readonly #beating = new Set<Heartbeat>();
  readonly #path: string;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(files: FileSystem, path: string) {
    this.#path = path;
    Heartbeat.#beating.add(this);
    this.#timer = setInterval(() => {
      // A beat that fails (swept away, file system gone) is told by the next write or the publish itself.
      files.touch(path, systemMs()).catch(() => {});
    }, BEAT_MS);
    this.#timer.unref();
  }

  /** Whether this program touches a path, whatever its time says. */
  static isBeating(path: string): boolean {
    for (const heartbeat of Heartbeat.#beating) if (heartbeat.#path === path) return true;
    return false;
  }

  /** Stops it; may be called twice. */
  stop(): void {
    clearInterval(this.#timer);
    Heartbeat.#beating.delete(this);
  }
}
