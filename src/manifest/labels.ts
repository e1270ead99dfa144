// Labels: what of them can be stored, and the note that carries those that came after the save.
import { reasonOf } from "../model/errors.ts";
import { assertOptions, type OptionNames } from "../model/options.ts";
import type { Labels, RetentionSnapshot, SnapshotFacts } from "../model/snapshot.ts";
import { FORMAT_VERSION } from "../model/version.ts";
import { digestOf } from "../runtime/digest.ts";
import { FREE_VALUES, parseGuarded, refuseProto } from "./guarded_json.ts";
import { isMetrics, isTags, loadShapes, NOTE_FORMAT_NAME } from "./schema.ts";

const MAX_LABELS = FREE_VALUES / 2;
const DIGEST_OF_NOTE = /,"digest":"(sha256:[0-9a-f]{64})"\}\n$/;

/** The labels there are; {@link storableLabels} looks into `tags` and `metrics`. */
export const LABEL_NAMES: OptionNames<Labels> = {
  tags: "an array",
  metrics: true,
  step: "a number",
  remark: "a string",
  pinned: "true or false",
};

/**
 * Labels as they are stored: only what is known, and metrics that are NaN or infinite as `null`, which JSON can carry.
 *
 * @param labels What the caller says.
 * @returns The labels to store.
 * @throws {TypeError} If a label has the wrong type, or there are more than half a million.
 */
export function storableLabels(labels: Labels): Labels {
  assertOptions("use these labels", labels, LABEL_NAMES);
  const { metrics: measured } = labels;
  if (measured !== undefined && Object.prototype.toString.call(measured) !== "[object Object]") {
    throw new TypeError("Cannot use these labels: the metrics must be an object of numbers");
  }
  const tags = Array.isArray(labels.tags) ? labels.tags.length : 0;
  if (tags + Object.keys(measured ?? {}).length > MAX_LABELS) {
    throw new TypeError(`Cannot use these labels: they are more than ${MAX_LABELS}`);
  }
  const metrics = measured && Object.fromEntries(
    Object.entries(measured).map((
      [name, value],
    ) => [name, typeof value === "number" && !Number.isFinite(value) ? null : value]),
  );
  // In one order, so that equal labels make equal bytes.
  const given = (Object.keys(LABEL_NAMES) as (keyof Labels)[]).map((
    name,
  ) => [name, name === "metrics" ? metrics : labels[name]]);
  const storable = storedAs(Object.fromEntries(given));
  const fault = faultOf(storable);
  if (fault !== undefined) throw new TypeError(`Cannot use these labels: ${fault}`);
  return storable;
}

/** What reading the labels back would give. */
function storedAs(labels: object): Labels {
  try {
    return JSON.parse(JSON.stringify(labels), refuseProto) as Labels;
  } catch (cause) {
    throw new TypeError(`Cannot use these labels: ${reasonOf(cause)}`, { cause });
  }
}

/** Facts with a note's labels in place of those that were saved: it replaces all of them, also those it does not have. */
export function withNote(facts: SnapshotFacts, note: Labels | "damaged" | undefined): SnapshotFacts {
  if (note === undefined || note === "damaged") return facts;
  return { ...facts, tags: undefined, metrics: undefined, step: undefined, pinned: false, ...note };
}

function faultOf({ tags, metrics, step }: Labels): string | undefined {
  if (tags !== undefined && !isTags(tags)) return "the tags must be an array of strings";
  if (metrics !== undefined && !isMetrics(metrics)) return "the metrics must be an object of numbers";
  if (step === null) return "the step must be a finite number"; // as JSON writes it
  return undefined;
}

/**
 * The text of a note.
 *
 * @param labels Storable labels.
 * @returns `<name>.json`.
 */
export function renderNote(labels: Labels): Uint8Array {
  const encoder = new TextEncoder();
  const text = JSON.stringify({ format: NOTE_FORMAT_NAME, formatVersion: FORMAT_VERSION, labels }).slice(0, -1);
  return encoder.encode(`${text},"digest":"${digestOf(encoder.encode(text))}"}\n`);
}

/**
 * Reads a note.
 *
 * @param bytes `<name>.json`.
 * @returns The labels, or `undefined` where it is damaged or of a newer format.
 */
export async function parseNote(bytes: Uint8Array): Promise<Labels | undefined> {
  const { noteOf } = await loadShapes();
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const [end, digest] = DIGEST_OF_NOTE.exec(text) ?? [];
    if (end !== undefined && digest !== digestOf(bytes.subarray(0, -end.length))) return undefined;
    const note = noteOf(parseGuarded(text), end !== undefined);
    return note.formatVersion <= FORMAT_VERSION ? note.labels : undefined;
  } catch {
    return undefined; // damage of a note costs labels, and the caller sees it
  }
}

/** Snapshots by a metric, best first; equal ones newer first; unmeasured ones last, newer first. */
export function rankByMetric<T extends RetentionSnapshot>(
  snapshots: readonly T[],
  metric: string,
  mode: "min" | "max",
): T[] {
  const sign = mode === "min" ? 1 : -1;
  const valueOf = ({ metrics }: RetentionSnapshot): number => {
    const value = metrics !== undefined && Object.hasOwn(metrics, metric) ? metrics[metric] : null;
    return typeof value === "number" && Number.isFinite(value) ? value * sign : Infinity;
  };
  return snapshots
    .map((snapshot) => ({ snapshot, value: valueOf(snapshot) }))
    .sort((a, b) => a.value < b.value ? -1 : a.value > b.value ? 1 : a.snapshot.name > b.snapshot.name ? -1 : 1)
    .map(({ snapshot }) => snapshot);
}
