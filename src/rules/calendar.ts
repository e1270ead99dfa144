// Calendar buckets in one IANA zone. Days of 23 and 25 hours are days, and an hour that the clock repeats is one hour.

/** A kind of bucket. */
export type CalendarUnit = "hour" | "day" | "week" | "month" | "year";

const BLOCK_MS = 6 * 3_600_000;
const DAY_MS = 86_400_000;

/** Names the bucket an instant falls into. */
export class Calendar {
  /** The zone. */
  readonly zone: string;
  readonly #format: Intl.DateTimeFormat | undefined;
  readonly #offsets = new Map<number, number>();

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
    const format = new Intl.DateTimeFormat("en-US", { timeZone: zone, hourCycle: "h23", era: "short", ...fields });
    this.#format = zone === "UTC" ? undefined : format;
  }

  /**
   * The bucket of an instant.
   *
   * @param unit Kind of bucket.
   * @param timeMs Milliseconds since 1970.
   * @returns Such as `2026-11-23 07`, `2026-11-23`, `2026-W48` (ISO 8601), `2026-11`, `2026`.
   */
  bucket(unit: CalendarUnit, timeMs: number): string {
    const localMs = timeMs + this.#offsetMs(timeMs);
    const iso = new Date(localMs).toISOString();
    if (unit === "hour") return `${iso.slice(0, 10)} ${iso.slice(11, 13)}`;
    if (unit === "day") return iso.slice(0, 10);
    if (unit === "month") return iso.slice(0, 7);
    if (unit === "year") return iso.slice(0, 4);
    // The week belongs to the year of its Thursday.
    const day = Math.floor(localMs / DAY_MS);
    const thursday = new Date((day - (day + 3) % 7 + 3) * DAY_MS);
    const week = Math.floor((thursday.getTime() - Date.UTC(thursday.getUTCFullYear(), 0, 1)) / DAY_MS / 7) + 1;
    return `${thursday.getUTCFullYear()}-W${String(week).padStart(2, "0")}`;
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
    return Date.UTC(found.get("era") === "BC" ? 1 - year : year, month - 1, day, hour, minute, second) -
      Math.floor(timeMs / 1000) * 1000;
  }
}
