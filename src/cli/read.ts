// Readers of option values: each returns the value, or throws what is wrong with it.
import { UsageError } from "./exit_code.ts";

/** Reads a whole number from 0 on, or `Infinity`. */
export function readCount(text: string): number {
  if (text === "Infinity") return Infinity;
  if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  throw new UsageError(`"${text}" is not a whole number from 0 on, or Infinity`);
}

/** Reads a finite number. */
export function readNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value)) return value;
  throw new UsageError(`"${text}" is not a number`);
}

/** Collects the values of an option that may be repeated. */
export function collect(text: string, before: unknown): string[] {
  return [...(before as readonly string[] | undefined) ?? [], text];
}
