// Sizes and times as people read and write them. The only file that knows pretty-bytes and pretty-ms.
import prettyBytes from "pretty-bytes";
import prettyMs from "pretty-ms";
import { UsageError } from "./exit_code.ts";

/** Returns a size such as `12.5 MiB`. */
export function sizeText(bytes: number): string {
  return prettyBytes(bytes, { binary: true, space: true });
}

/** Returns a difference of sizes such as `+12.5 MiB`. */
export function growthText(bytes: number): string {
  return prettyBytes(bytes, { binary: true, signed: true }).trim();
}

/** Returns a length of time such as `3m`. */
export function timeText(lengthMs: number): string {
  return lengthMs < 1000 ? "0s" : prettyMs(lengthMs, { compact: true });
}

/** Returns how long ago an instant was, such as `3m`; `in 3m` if it is in the future. */
export function ageText(thenMs: number, nowMs: number): string {
  return thenMs > nowMs + 1000 ? `in ${timeText(thenMs - nowMs)}` : timeText(nowMs - thenMs);
}

const POWERS: Readonly<Record<string, number>> = { "": 0, k: 1, m: 2, g: 3, t: 4 };

/**
 * Reads a size such as `500M`, `10GiB` or `1048576`. `K`, `M`, `G` and `T` are powers of 1024, `KB`, `MB`, `GB` and `TB` of 1000.
 *
 * @throws {UsageError} If it is not a size.
 */
export function readSize(text: string): number {
  const [, count = "", power = "", ending = ""] = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b?)$/i.exec(text) ?? [];
  if (count === "" || power === "" && /i/i.test(ending)) {
    throw new UsageError(`"${text}" is not a size; write it like 500M, 10GiB or 1048576`);
  }
  const base = ending.toLowerCase() === "b" && power !== "" ? 1000 : 1024;
  return Math.round(Number(count) * base ** (POWERS[power.toLowerCase()] ?? 0));
}
