// How a writer shows that it lives: it touches a file every few seconds. Process ids say nothing in containers.
import { basename } from "node:path";
import { clearInterval, setInterval, systemMs } from "../runtime/clock.ts";
import type { FileSystem } from "./file_system.ts";

const BEAT_MS = 5_000;

/** Touches paths until stopped; never keeps the process alive. */
export class Heartbeat {
  static readonly #beating = new Set<Heartbeat>();
  /** Paths of what lives as long as it beats. */
  readonly standsFor: readonly string[];
  readonly #timer: ReturnType<typeof setInterval>;

  /** Touches `paths`, and stands for others as well if they are given. */
  constructor(files: FileSystem, paths: readonly string[], standsFor: readonly string[] = paths) {
    this.standsFor = standsFor;
    Heartbeat.#beating.add(this);
    this.#timer = setInterval(() => {
      const nowMs = systemMs();
      // A beat that fails (swept away, file system gone) is reported by the next write or the publish itself.
      for (const path of paths) files.touch(path, nowMs).catch(() => {});
    }, BEAT_MS);
    this.#timer.unref();
  }

  /** Whether this copy of the library has a heartbeat for a path, whatever its time says. */
  static isBeating(path: string): boolean {
    return [...Heartbeat.#beating].some(({ standsFor }) => standsFor.includes(path));
  }

  /** The same for a name with a token, by whatever path its folder is reached. */
  static isBeatingFor(fileName: string): boolean {
    return [...Heartbeat.#beating].some(({ standsFor }) => standsFor.some((path) => basename(path) === fileName));
  }

  /** Stops it; may be called twice. */
  stop(): void {
    clearInterval(this.#timer);
    Heartbeat.#beating.delete(this);
  }
}
