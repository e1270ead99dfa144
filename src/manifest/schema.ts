// The shapes of what JSON says: manifests, labels, notes. The only file that knows zod.
import { z } from "zod";
import type { Digest, Labels, Manifest, ManifestEntry, ManifestState } from "../model/snapshot.ts";
import { FORMAT_VERSION } from "../model/version.ts";

/** What a manifest calls its format. */
export const FORMAT_NAME = "snapkeep";
/** What a note calls its format. */
export const NOTE_FORMAT_NAME = "snapkeep-note";

const size = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const digest = z.string().regex(DIGEST) as unknown as z.ZodType<Digest>;
// Lists are checked by hand, down to their first fault: zod tells every fault, and takes a KiB for each of many millions.
const tags = z.custom<string[]>(isTags, "they are no list of texts");
const metrics = z.custom<Record<string, number | null>>(isMetrics, "they are no object of numbers by name");

const labelsSchema = z.looseObject({
  tags: tags.optional(),
  metrics: metrics.optional(),
  step: z.number().optional(),
  remark: z.string().optional(),
  pinned: z.boolean().optional(),
});

function isTags(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((tag) => typeof tag === "string");
}

function isMetrics(value: unknown): value is Record<string, number | null> {
  return isObject(value) && !Array.isArray(value) &&
    Object.values(value).every((metric) => metric === null || Number.isFinite(metric));
}

const manifestSchema = z.looseObject({
  format: z.literal(FORMAT_NAME),
  formatVersion: z.literal(FORMAT_VERSION),
  name: z.string(),
  savedAt: z.iso.datetime({ precision: 3 }),
  library: z.looseObject({ name: z.string(), version: z.string() }),
  program: z.string().optional(),
  run: z.string().optional(),
  parent: z.string().nullable(),
  states: z.custom<unknown[]>(Array.isArray, "they are no list"),
  totals: z.looseObject({ states: size, entries: size, sizeBytes: size }),
  labels: labelsSchema,
  digest,
});

const noteSchema = z.looseObject({
  format: z.literal(NOTE_FORMAT_NAME),
  formatVersion: z.number().int().nonnegative(),
  labels: labelsSchema,
});
const bareNoteSchema = noteSchema.extend({ labels: labelsSchema.strict() }).strict();

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;

function shaped<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new TypeError(z.prettifyError(parsed.error), { cause: parsed.error });
  return parsed.data;
}

/**
 * A value as a manifest, unknown fields kept. Its states are not looked at: see {@link isState} and {@link isEntry}.
 *
 * @param value What was parsed.
 * @returns The manifest.
 * @throws {TypeError} If it has another shape; tells each fault.
 */
export function manifestOf(value: unknown): Manifest {
  const { format: _format, digest: _digest, ...manifest } = shaped(manifestSchema, value);
  return manifest as unknown as Manifest;
}

/**
 * A value as labels of which none is unknown.
 *
 * @param value What the caller says.
 * @returns The labels.
 * @throws {TypeError} If it has another shape; tells each fault.
 */
export function labelsOf(value: unknown): Labels {
  return shaped(labelsSchema.strict(), value) as Labels;
}

/**
 * A value as a note.
 *
 * @param value What was parsed.
 * @param hasDigest Whether its digest agreed; the first notes had none, and nothing that we do not know.
 * @returns Its version and its labels; those that nobody knows are kept.
 * @throws {TypeError} If it has another shape.
 */
export function noteOf(
  value: unknown,
  hasDigest: boolean,
): { readonly formatVersion: number; readonly labels: Labels } {
  const { formatVersion, labels } = shaped(hasDigest ? noteSchema : bareNoteSchema, value);
  return { formatVersion, labels: labels as Labels };
}

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
