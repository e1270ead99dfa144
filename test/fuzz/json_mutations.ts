// Mutations of JSON: of its values, which know what a table or a manifest is made of, and of its text, for readers that look
// at lines before they parse.
import { PATHS } from "./tar_items.ts";
import type { Random } from "./random.ts";

const VALUES: readonly unknown[] = [
  null,
  true,
  [],
  {},
  "",
  "reg",
  "chunk",
  "dir",
  "symlink",
  0,
  1,
  -1,
  0.5,
  4,
  512,
  2 ** 31,
  2 ** 32 + 5,
  2 ** 45,
  2 ** 53 - 1,
  1e300,
  "5",
  `sha256:${"0".repeat(64)}`,
  `sha256:${"F".repeat(64)}`,
  "2026-02-03T04:05:06.789Z",
  "2026-13-03T04:05:06.789Z",
  ...PATHS,
];

interface Spot {
  readonly holder: Record<string, unknown>;
  readonly key: string;
}

/** Every place in a value that holds another. */
function spotsOf(value: unknown, found: Spot[] = []): Spot[] {
  if (typeof value !== "object" || value === null) return found;
  for (const key of Object.keys(value)) {
    found.push({ holder: value as Record<string, unknown>, key });
    spotsOf((value as Record<string, unknown>)[key], found);
  }
  return found;
}

/** Changes a value in place, once. */
export function mutateValue(random: Random, value: unknown): void {
  const spots = spotsOf(value);
  if (spots.length === 0) return;
  const { holder, key } = random.pick(spots);
  const old = holder[key];
  const change = random.below(8);
  if (Array.isArray(holder) && change < 3) {
    if (change === 0) holder.splice(Number(key), 1);
    else if (change === 1) holder.splice(random.below(holder.length + 1), 0, structuredClone(old));
    else holder.splice(random.below(holder.length), 0, ...holder.splice(Number(key), 1) as unknown[]);
  } else if (change < 2) delete holder[key];
  else if (change === 2) holder[random.pick(["x", "name", "size", "offset", "path", "constructor"])] = old;
  else if (change === 3 && typeof old === "number") holder[key] = old + random.pick([-1, 1, 512, -512, 2 ** 32]);
  else if (change === 3 && typeof old === "string") holder[key] = changeText(random, old);
  else if (change === 4) {
    const other = random.pick(spots.filter((spot) => typeof spot.holder[spot.key] === typeof old));
    holder[key] = structuredClone(other.holder[other.key]);
  } else holder[key] = structuredClone(random.pick(VALUES));
}

function changeText(random: Random, text: string): string {
  const at = random.below(text.length + 1);
  const change = random.below(5);
  if (change === 0) return text.toUpperCase();
  if (change === 1) return `./${text}`;
  if (change === 2) {
    return text.slice(0, at) + random.pick(["/", ".", "..", "\0", "\u202e", "é", "\ud800"]) + text.slice(at);
  }
  if (change === 3) return text.slice(0, at);
  return text.slice(0, at) + random.pick(["0", "f", "x"]) + text.slice(at + 1);
}

/** Changes JSON as text, once; often it stays JSON. */
export function mutateText(random: Random, text: string): string {
  const lines = text.split("\n");
  const at = random.below(lines.length);
  const line = lines[at] as string;
  const change = random.below(8);
  if (change === 0) lines.splice(at, 0, line);
  else if (change === 1) lines.splice(at, 1);
  else if (change === 2) lines.splice(random.below(lines.length), 0, ...lines.splice(at, 1));
  else if (change === 3) {
    lines[at] = line.replace(/"([a-zA-Z]+)":/, (key) => `${key}${random.pick(["0", '"x"', "[]"])},${key}`);
  } else if (change === 4) lines[at] = line.replace(/[a-z]/, (letter) => `\\u00${letter.charCodeAt(0).toString(16)}`);
  else if (change === 5) lines[at] = line.replace(/[:,{[]/, (mark) => `${mark}${random.pick([" ", "\n", "\t"])}`);
  else if (change === 6) lines[at] = nested(random, lines, line);
  else {
    const place = random.below(line.length + 1);
    lines[at] = line.slice(0, place) + random.pick(["", "}", "]", ",", '"', "0", "\ufeff"]) + line.slice(place + 1);
  }
  return lines.join("\n");
}

/** Lines of this very text once more, as the value of an unknown field, with another digest in them. */
function nested(random: Random, lines: readonly string[], line: string): string {
  const brace = line.indexOf("{");
  const from = random.below(lines.length);
  const copied = lines.slice(from, from + 1 + random.below(4)).join("\n").replaceAll(/,$/g, "")
    .replaceAll(/[0-9a-f]{8}/g, (digits) => random.chance(0.3) ? "00000000" : digits);
  if (brace === -1) return line;
  return `${line.slice(0, brace + 1)}"x":[\n${copied}\n],${line.slice(brace + 1)}`;
}
