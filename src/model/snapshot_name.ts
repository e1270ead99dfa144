// Names order snapshots. A format of coarse to fine UTC fields makes byte order equal time order, so list, latest and
// keepLatest need not open anything; a store makes each new name later than all names there, whatever the clock does.
import { faultOfSnapshotName } from "./entry_path.ts";
import { SnapshotError } from "./errors.ts";
import { assertString } from "./options.ts";
import { suffixOf } from "./unit.ts";

/** pamiq-core's format: `2026-11-23_07-04-34,123456.state`. */
export const DEFAULT_NAME_FORMAT = "%Y-%m-%d_%H-%M-%S,%f.state";

const FIELDS = {
  Y: { width: 4, stepUs: 0n },
  m: { width: 2, stepUs: 0n },
  d: { width: 2, stepUs: 86_400_000_000n },
  j: { width: 3, stepUs: 86_400_000_000n },
  H: { width: 2, stepUs: 3_600_000_000n },
  M: { width: 2, stepUs: 60_000_000n },
  S: { width: 2, stepUs: 1_000_000n },
  f: { width: 6, stepUs: 1n },
} as const;
type Field = keyof typeof FIELDS;

const END_US = BigInt(Date.UTC(10_000, 0, 1)) * 1000n;

// A name that leaves out a field between two others would not sort by time.
const ORDERS = ["YmdHMSf", "YjHMSf"];

const isField = (letter: string): letter is Field => letter in FIELDS;

/**
 * A format for snapshot names, both ways.
 *
 * Fields are those of strftime, in UTC: `%Y %m %d %j %H %M %S %f` (microseconds) and `%%`.
 */
export class SnapshotNameFormat {
  /** The format as given. */
  readonly text: string;
  readonly #pieces: readonly (Field | { literal: string })[];
  readonly #pattern: RegExp;
  readonly #stepUs: bigint;

  /**
   * Reads a format.
   *
   * @param text Such as `%Y-%m-%d_%H-%M-%S,%f.state`.
   * @throws {RangeError} If names made by it would not sort by time, would have less than a day's resolution, or would
   *   not be safe file names.
   */
  constructor(text: string) {
    const refuse = (reason: string): never => {
      throw new RangeError(`Cannot use the state name format "${text}": ${reason}`);
    };
    const pieces: (Field | { literal: string })[] = [];
    let pattern = "";
    for (const [token, letter] of text.matchAll(/%(.?)|[^%]+/gsu)) {
      if (letter === undefined || letter === "%") {
        const literal = letter === undefined ? token : "%";
        pieces.push({ literal });
        pattern += literal.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
      } else if (isField(letter)) {
        pieces.push(letter);
        pattern += `(?<${letter}>\\d{${FIELDS[letter].width}})`;
      } else refuse(`"${token}" is not a field it knows`);
    }
    const order = pieces.filter((piece) => typeof piece === "string").join("");
    const finest = order.at(-1) as Field | undefined;
    if (finest === undefined || FIELDS[finest].stepUs === 0n) {
      refuse("it needs fields from %Y down to the day at least");
    }
    if (!ORDERS.some((whole) => whole.startsWith(order))) {
      refuse("its names would not sort by time; go from %Y to finer fields, leaving out none");
    }
    this.text = text;
    this.#pieces = pieces;
    this.#pattern = new RegExp(`^${pattern}$`, "u");
    this.#stepUs = FIELDS[finest as Field].stepUs;
    const fault = faultOfSnapshotName(this.format(0n));
    if (fault !== undefined) refuse(fault);
    if (suffixOf(this.format(0n)) !== undefined) refuse("its names would be taken for archives");
  }

  /**
   * The name of an instant.
   *
   * @param timeUs Microseconds since 1970-01-01T00:00:00Z, in the years 0 to 9999; finer parts than the format's are cut.
   * @returns The name.
   * @throws {RangeError} If the time is outside these years.
   */
  format(timeUs: bigint): string {
    const micros = ((timeUs % 1_000_000n) + 1_000_000n) % 1_000_000n;
    const date = new Date(Number((timeUs - micros) / 1000n));
    const year = date.getUTCFullYear();
    if (!(year >= 0 && year <= 9999)) {
      throw new RangeError(`Cannot name a snapshot: the year of ${timeUs} µs is not within 0 to 9999`);
    }
    const startOfYear = Date.parse(`${String(year).padStart(4, "0")}-01-01T00:00:00Z`);
    const values: Record<Field, number> = {
      Y: year,
      m: date.getUTCMonth() + 1,
      d: date.getUTCDate(),
      j: Math.floor((date.getTime() - startOfYear) / 86_400_000) + 1,
      H: date.getUTCHours(),
      M: date.getUTCMinutes(),
      S: date.getUTCSeconds(),
      f: Number(micros),
    };
    return this.#pieces
      .map((piece) =>
        typeof piece === "string" ? String(values[piece]).padStart(FIELDS[piece].width, "0") : piece.literal
      )
      .join("");
  }

  /**
   * The instant a name stands for.
   *
   * @param name Any name.
   * @returns Microseconds since 1970-01-01T00:00:00Z, or `undefined` where the name was not made by this format.
   */
  parse(name: string): bigint | undefined {
    assertString("read the time of a snapshot", "its name", name);
    const groups = this.#pattern.exec(name)?.groups;
    if (groups === undefined) return undefined;
    const of = (field: Field) => Number(groups[field] ?? 0);
    const isDayOfYear = groups["j"] !== undefined;
    const date = new Date(0);
    date.setUTCFullYear(of("Y"), isDayOfYear ? 0 : of("m") - 1, isDayOfYear ? of("j") : of("d"));
    date.setUTCHours(of("H"), of("M"), of("S"));
    // Refuses 02-30, 24:00, and day 000 or 366.
    const isDay = date.getUTCFullYear() === of("Y") &&
      (isDayOfYear || date.getUTCMonth() + 1 === of("m") && date.getUTCDate() === of("d"));
    const isTime = date.getUTCHours() === of("H") && date.getUTCMinutes() === of("M") &&
      date.getUTCSeconds() === of("S");
    if (!isDay || !isTime) return undefined;
    return BigInt(date.getTime()) * 1000n + BigInt(groups["f"] ?? "0");
  }

  /**
   * A name that is later than another one.
   *
   * @param timeUs Microseconds since 1970-01-01T00:00:00Z.
   * @param latest The latest name there is, if there is one.
   * @returns The name of `timeUs`, or where that is not later than `latest`, the next name the format can make.
   * @throws {RangeError} If the time is outside the years 0 to 9999.
   * @throws {SnapshotError} `NAMES_EXHAUSTED` if no name can follow `latest`.
   */
  next(timeUs: bigint, latest?: string): string {
    const name = this.format(timeUs);
    if (latest === undefined || name > latest) return name;
    const latestUs = this.parse(latest);
    if (latestUs === undefined) throw new RangeError(`Cannot follow the name "${latest}": it has another format`);
    const nextUs = latestUs + this.#stepUs;
    if (nextUs < END_US) return this.format(nextUs);
    const remedy = "a clock was wrong when it was saved; rename it, and it is kept but no longer counts, or remove it";
    throw new SnapshotError("NAMES_EXHAUSTED", `Cannot name a snapshot: nothing can follow "${latest}": ${remedy}`, {
      latest,
    });
  }
}

/** Orders by name: snapshots of one format, oldest first. */
export function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}
