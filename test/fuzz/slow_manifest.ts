// The rules of docs/format.md, section 3, once more: a manifest read from the document alone.
import { digestOf } from "./members.ts";
import { collide, isSafePath, isSafeStateName, keyOf } from "./slow_paths.ts";

const END_BYTES = 89;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

type Values = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Values =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isText = (value: unknown): value is string => typeof value === "string";
const isListOf = (value: unknown, isItem: (item: unknown) => boolean): value is unknown[] =>
  Array.isArray(value) && value.every(isItem);
const isAbsentOr = (value: unknown, is: (value: unknown) => boolean): boolean => value === undefined || is(value);

function hasProto(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return Object.hasOwn(value, "__proto__") || Object.values(value).some(hasProto);
}

function areLabels(value: unknown): boolean {
  return isObject(value) && isAbsentOr(value["tags"], (tags) => isListOf(tags, isText)) &&
    isAbsentOr(
      value["metrics"],
      (metrics) =>
        isObject(metrics) && Object.values(metrics).every((metric) => metric === null || Number.isFinite(metric)),
    ) &&
    isAbsentOr(value["step"], Number.isFinite) && isAbsentOr(value["remark"], isText) &&
    isAbsentOr(value["pinned"], (pinned) => typeof pinned === "boolean");
}

function isInstant(value: unknown): boolean {
  if (!isText(value) || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value)) return false;
  const time = Date.parse(value);
  return !Number.isNaN(time) && new Date(time).toISOString() === value;
}

const isEntry = (value: unknown): boolean =>
  isObject(value) && isText(value["path"]) && isCount(value["sizeBytes"]) && isText(value["digest"]) &&
  DIGEST.test(value["digest"]);

const isState = (value: unknown): boolean =>
  isObject(value) && isText(value["name"]) && isCount(value["version"]) && value["version"] > 0 &&
  isListOf(value["entries"], isEntry);

/** Says why bytes are no manifest. */
export function faultOfText(bytes: Uint8Array): string | undefined {
  const body = bytes.subarray(0, Math.max(0, bytes.length - END_BYTES));
  const end = new TextDecoder().decode(bytes.subarray(body.length));
  if (end !== `\n  "digest": "${digestOf(body)}"\n}\n`) return "it does not end with its digest";
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return "it is no JSON";
  }
  if (!isObject(value)) return "it is no object";
  return faultOfShape(value) ?? faultOfSums(value);
}

function faultOfShape(value: Values): string | undefined {
  const { library, totals } = value;
  if (hasProto(value)) return "it has __proto__";
  if (value["format"] !== "snapkeep") return "format";
  if (value["formatVersion"] !== 1) return "formatVersion";
  const { name } = value;
  if (!isText(name) || !isSafeStateName(name) || new TextEncoder().encode(name).length > 200) return "name";
  if (/\.tar(?:\.gz|\.zst)?$/.test(keyOf(name))) return "the end of the name";
  if (!isInstant(value["savedAt"])) return "savedAt";
  if (!isObject(library) || !isText(library["name"]) || !isText(library["version"])) return "library";
  if (value["parent"] !== null && !isText(value["parent"])) return "parent";
  if (!isListOf(value["states"], isState)) return "states";
  if (!isObject(totals) || !["states", "entries", "sizeBytes"].every((key) => isCount(totals[key]))) return "totals";
  return areLabels(value["labels"]) ? undefined : "labels";
}

function faultOfSums(value: Values): string | undefined {
  const states = value["states"] as { name: string; entries: { path: string; sizeBytes: number }[] }[];
  const entries = states.flatMap(({ entries }) => entries);
  const sizeBytes = entries.reduce((sum, entry) => sum + entry.sizeBytes, 0);
  const { totals } = value as { totals: { states: number; entries: number; sizeBytes: number } };
  if (totals.states !== states.length || totals.entries !== entries.length || totals.sizeBytes !== sizeBytes) {
    return "sums";
  }
  if (!states.every(({ name }) => isSafeStateName(name))) return "a state's name";
  const paths = states.flatMap(({ name, entries }) => entries.map(({ path }) => `${name}/${path}`));
  if (!paths.every(isSafePath)) return "a path";
  const isClash = paths.some((one, index) => paths.slice(index + 1).some((other) => collide(one, other, keyOf)));
  if (isClash || new Set(states.map(({ name }) => keyOf(name))).size < states.length) return "paths that collide";
  return undefined;
}
