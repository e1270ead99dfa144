// Calendar buckets in one IANA zone. Days of 23 and 25 hours are days, and an hour that the clock repeats is one hour.
import { show } from "../model/show.ts";

/** A kind of bucket. */
export type RetentionCalendarUnit = "hour" | "day" | "week" | "month" | "year";

const BLOCK_MS = 6 * 3_600_000;
const DAY_MS = 86_400_000;
// A budget has the rules asked again and again about the same snapshots.
const MOST_KNOWN = 10_000;

/** Names the bucket an instant falls into. */
export class RetentionCalendar {
  /** The zone. */
  readonly zone: string;
  readonly #format: Intl.DateTimeFormat | undefined;
  readonly #offsets = new Map<number, number>();
  readonly #buckets = new Map<RetentionCalendarUnit, Map<number, string>>();

  /**
   * Makes a calendar.
   *
   * @param zone IANA name, such as `Europe/Berlin`, or `UTC`.
   * @throws {RangeError} If there is no such zone.
   */
  constructor(zone: string) {
    this.zone = zone;
    const fields = {
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    } as const;
    if (zone === "UTC") return;
    try {
      this.#format = new Intl.DateTimeFormat("en-US", { timeZone: zone, hourCycle: "h23", era: "short", ...fields });
    } catch (cause) {
      throw new RangeError(`Cannot use the time zone ${show(zone)}: write it like "Europe/Berlin" or "UTC"`, { cause });
    }
  }

  /**
   * The bucket of an instant.
   *
   * @param unit Kind of bucket.
   * @param timeMs Milliseconds since 1970.
   * @returns Such as `2026-11-23 07`, `2026-11-23`, `2026-W48` (ISO 8601), `2026-11`, `2026`.
   */
  bucket(unit: RetentionCalendarUnit, timeMs: number): string {
    let known = this.#buckets.get(unit);
    if (known === undefined || known.size >= MOST_KNOWN) this.#buckets.set(unit, known = new Map());
    let bucket = known.get(timeMs);
    if (bucket === undefined) known.set(timeMs, bucket = this.#bucket(unit, timeMs));
    return bucket;
  }

  #bucket(unit: RetentionCalendarUnit, timeMs: number): string {
    const localMs = timeMs + this.#offsetMs(timeMs);
    const iso = new Date(localMs).toISOString();
    const date = iso.slice(0, iso.indexOf("T")); // years beyond 9999 are longer
    if (unit === "hour") return `${date} ${iso.slice(date.length + 1, date.length + 3)}`;
    if (unit === "day") return date;
    if (unit === "month") return date.slice(0, -3);
    if (unit === "year") return date.slice(0, -6);
    // The week belongs to the year of its Thursday.
    const day = Math.floor(localMs / DAY_MS);
    const thursday = 7 * Math.floor((day + 3) / 7);
    const year = new Date(thursday * DAY_MS).getUTCFullYear();
    const week = Math.floor((thursday - utcMs(year, 0, 1) / DAY_MS) / 7) + 1;
    return `${String(year).padStart(4, "0")}-W${String(week).padStart(2, "0")}`;
  }

  /** How far the zone is ahead of UTC. Asking Intl is slow, so a block of hours in which nothing changes is asked once. */
  #offsetMs(timeMs: number): number {
    if (this.#format === undefined) return 0;
    const start = Math.floor(timeMs / BLOCK_MS);
    const before = this.#blockOffsetMs(start);
    return before === this.#blockOffsetMs(start + 1) ? before : this.#ask(timeMs);
  }

  #blockOffsetMs(block: number): number {
    let offsetMs = this.#offsets.get(block);
    if (offsetMs === undefined) this.#offsets.set(block, offsetMs = this.#ask(block * BLOCK_MS));
    return offsetMs;
  }

  #ask(timeMs: number): number {
    const found = new Map(this.#format?.formatToParts(timeMs).map(({ type, value }) => [type, value]));
    const [year, month, day, hour, minute, second] = (["year", "month", "day", "hour", "minute", "second"] as const)
      .map((type) => Number(found.get(type))) as [number, number, number, number, number, number];
    const dayMs = utcMs(found.get("era") === "BC" ? 1 - year : year, month - 1, day);
    return dayMs + ((hour * 60 + minute) * 60 + second) * 1000 - Math.floor(timeMs / 1000) * 1000;
  }
}

/** As Date.UTC, which takes the years 0 to 99 for 1900 to 1999. */
function utcMs(year: number, month: number, day: number): number {
  return new Date(0).setUTCFullYear(year, month, day);
}
