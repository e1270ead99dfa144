// The shapes of what JSON says: manifests, labels, notes. The only file that knows zod.
import type { Labels, Manifest, ManifestEntry, ManifestState } from "../model/snapshot.ts";
import { FORMAT_VERSION } from "../model/version.ts";
import { turn } from "../runtime/concurrency.ts";

/** What a manifest calls its format. */
export const FORMAT_NAME = "snapkeep";
/** What a note calls its format. */
export const NOTE_FORMAT_NAME = "snapkeep-note";

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Reads what was parsed; each throws a TypeError that tells each fault of the shape. */
export interface Shapes {
  /** A value as a manifest, unknown fields kept. Its states are not looked at: see {@link isState} and {@link isEntry}. */
  manifestOf(value: unknown): Manifest;
  /**
   * A value as a note: its version and its labels, unknown ones kept. The first notes had no digest, and no fields that we do
   * not know.
   */
  noteOf(value: unknown, hasDigest: boolean): { readonly formatVersion: number; readonly labels: Labels };
}

let shapes: Promise<Shapes> | undefined;

/**
 * Loads the shapes. The first call imports zod, which takes longer than the rest of the library: programs that read no
 * snapshot need not wait for it.
 *
 * @returns The shapes, the same for all.
 */
export async function loadShapes(): Promise<Shapes> {
  shapes ??= makeShapes();
  try {
    return await shapes;
  } catch (error) {
    shapes = undefined; // the next call may succeed
    throw error;
  }
}

async function makeShapes(): Promise<Shapes> {
  // By name, so that a bundler leaves out the rest.
  const {
    boolean,
    custom,
    int,
    iso,
    literal,
    locales,
    looseObject,
    nonnegative,
    nullable,
    number,
    optional,
    prettifyError,
    regex,
    strictObject,
    string,
  } = await import("zod/mini");
  await turn(); // compiling it takes as long as making the shapes
  const size = int().check(nonnegative());
  // Lists are checked by hand, down to their first fault: zod tells every fault, and takes a KiB for each of many millions.
  const labels = {
    tags: optional(custom<string[]>(isTags, "expected an array of strings")),
    metrics: optional(custom<Record<string, number | null>>(isMetrics, "expected an object of numbers")),
    step: optional(number()),
    remark: optional(string()),
    pinned: optional(boolean()),
  };
  const manifest = looseObject({
    format: literal(FORMAT_NAME),
    formatVersion: literal(FORMAT_VERSION),
    name: string(),
    savedAt: iso.datetime({ precision: 3 }),
    library: looseObject({ name: string(), version: string() }),
    program: optional(string()),
    run: optional(string()),
    parent: nullable(string()),
    states: custom<unknown[]>(Array.isArray, "expected an array"),
    totals: looseObject({ states: size, entries: size, sizeBytes: size }),
    labels: looseObject(labels),
    digest: string().check(regex(DIGEST)),
  });
  const noteHead = { format: literal(NOTE_FORMAT_NAME), formatVersion: int().check(nonnegative()) };
  const note = looseObject({ ...noteHead, labels: looseObject(labels) });
  const bareNote = strictObject({ ...noteHead, labels: strictObject(labels) });
  const error = locales.en().localeError; // the messages of zod/mini are no help without a language
  const shaped = (schema: typeof manifest | typeof note | typeof bareNote, value: unknown): Record<string, unknown> => {
    const parsed = schema.safeParse(value, { error });
    if (!parsed.success) throw new TypeError(prettifyError(parsed.error), { cause: parsed.error });
    return parsed.data;
  };
  return {
    manifestOf(value) {
      const { format: _format, digest: _digest, ...rest } = shaped(manifest, value);
      return rest as unknown as Manifest;
    },
    noteOf(value, hasDigest) {
      const { formatVersion, labels } = shaped(hasDigest ? note : bareNote, value);
      return { formatVersion: formatVersion as number, labels: labels as Labels };
    },
  };
}

/** Whether a value is a list of texts. */
export function isTags(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((tag) => typeof tag === "string");
}

/** Whether a value is an object of numbers by name; `null` stands for what is no finite number. */
export function isMetrics(value: unknown): value is Record<string, number | null> {
  return isObject(value) && !Array.isArray(value) &&
    Object.values(value).every((metric) => metric === null || Number.isFinite(metric));
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;

/**
 * Whether a value is a state of a manifest; its entries are not looked at.
 *
 * @param value What was parsed.
 * @returns Whether it is.
 */
export function isState(value: unknown): value is ManifestState {
  if (!isObject(value)) return false;
  const { name, version, entries } = value as Partial<ManifestState>;
  return typeof name === "string" && Number.isSafeInteger(version) && (version as number) > 0 && Array.isArray(entries);
}

/**
 * Whether a value is an entry of a manifest.
 *
 * @param value What was parsed.
 * @returns Whether it is.
 */
export function isEntry(value: unknown): value is ManifestEntry {
  if (!isObject(value)) return false;
  const { path, sizeBytes, digest } = value as Partial<ManifestEntry>;
  return typeof path === "string" && Number.isSafeInteger(sizeBytes) && (sizeBytes as number) >= 0 &&
    typeof digest === "string" && DIGEST.test(digest);
}
