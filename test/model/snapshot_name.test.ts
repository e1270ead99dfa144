// Names order snapshots: everything that lists, resumes or removes relies on the laws here.
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { faultOfSnapshotName } from "../../src/model/entry_path.ts";
import { DEFAULT_NAME_FORMAT, SnapshotNameFormat } from "../../src/model/snapshot_name.ts";

const FIRST_US = BigInt(Date.parse("0000-01-01T00:00:00Z")) * 1000n;
const LAST_US = BigInt(Date.parse("9999-12-31T23:59:59.999Z")) * 1000n + 999n;
const STEPS_US: Record<string, bigint> = {
  d: 86_400_000_000n,
  j: 86_400_000_000n,
  H: 3_600_000_000n,
  M: 60_000_000n,
  S: 1_000_000n,
  f: 1n,
};

const us = (iso: string, micros = 0n): bigint => BigInt(Date.parse(iso)) * 1000n + micros;

const nearEdge = fc.tuple(
  fc.constantFrom(
    FIRST_US,
    LAST_US,
    0n,
    ...["1999-12-31", "2000-02-29", "2024-02-29", "2025-12-31", "2026-01-01", "2038-01-19", "2100-03-01", "0099-12-31"]
      .map((day) => us(`${day}T00:00:00Z`)),
  ),
  fc.bigInt(-2n * 86_400_000_000n, 2n * 86_400_000_000n),
).map(([edge, offset]) => edge + offset).filter((timeUs) => timeUs >= FIRST_US && timeUs <= LAST_US);
const time = fc.oneof(
  fc.bigInt(FIRST_US, LAST_US),
  fc.bigInt(us("2020-01-01T00:00:00Z"), us("2030-01-01T00:00:00Z")),
  nearEdge,
);

const literal = fc.string({ unit: fc.constantFrom(...Array.from("-_,TzäX 7"), ".", "%%"), maxLength: 3 });
const format = fc.tuple(
  fc.oneof(
    fc.constantFrom("Ymd", "YmdH", "YmdHM", "YmdHMS", "YmdHMSf"),
    fc.constantFrom("Yj", "YjH", "YjHM", "YjHMS", "YjHMSf"),
  ),
  fc.array(literal, { minLength: 7, maxLength: 7 }),
  fc.constantFrom("", "run-", "z", "9"),
  fc.constantFrom(".state", "", "-end", "%%"),
).map(([fields, between, before, after]) => ({
  text: before + Array.from(fields).map((field, index) => (index === 0 ? "" : between[index]) + `%${field}`).join("") +
    after,
  stepUs: STEPS_US[fields.at(-1) ?? ""] ?? 0n,
}));

describe("SnapshotNameFormat", () => {
  it("names an instant as pamiq-core does by default", () => {
    const name = new SnapshotNameFormat(DEFAULT_NAME_FORMAT).format(us("2026-11-23T07:04:34.123Z", 456n));
    expect(name).toBe("2026-11-23_07-04-34,123456.state");
  });

  it("makes safe names, and reads back the instant cut to its finest field", () => {
    fc.assert(
      fc.property(format, time, ({ text, stepUs }, timeUs) => {
        const names = new SnapshotNameFormat(text);
        const name = names.format(timeUs);
        expect(faultOfSnapshotName(name)).toBeUndefined();
        const parsed = names.parse(name);
        if (parsed === undefined) throw new Error(`"${name}" cannot be read back`);
        expect(parsed <= timeUs && timeUs - parsed < stepUs).toBe(true);
        expect(names.format(parsed)).toBe(name);
      }),
      { numRuns: 1000 },
    );
  });

  it("orders names as it orders time, over year ends and leap days too", () => {
    fc.assert(
      fc.property(format, time, time, ({ text }, a, b) => {
        const names = new SnapshotNameFormat(text);
        const [earlier, later] = a <= b ? [a, b] : [b, a];
        const [first, second] = [names.format(earlier), names.format(later)];
        expect(first <= second).toBe(true);
        expect(Buffer.compare(Buffer.from(first), Buffer.from(second)) <= 0).toBe(true);
        if (names.parse(first) !== names.parse(second)) expect(first).not.toBe(second);
      }),
      { numRuns: 1000 },
    );
  });

  it("goes on from the latest name, strictly later, whatever the clock says", () => {
    fc.assert(
      fc.property(format, time, time, ({ text, stepUs }, nowUs, latestUs) => {
        fc.pre(latestUs + stepUs <= LAST_US);
        const names = new SnapshotNameFormat(text);
        const latest = names.format(latestUs);
        const next = names.next(nowUs, latest);
        expect(next > latest).toBe(true);
        const now = names.format(nowUs);
        // The clock's own name where it can be had, else the very next one.
        expect(next).toBe(now > latest ? now : names.format((names.parse(latest) ?? 0n) + stepUs));
      }),
      { numRuns: 1000 },
    );
  });

  it("takes the clock's name where there is none yet", () => {
    const names = new SnapshotNameFormat("%Y-%m-%d.state");
    expect(names.next(us("2026-05-04T23:59:59Z"))).toBe("2026-05-04.state");
  });

  it("steps over the end of a year", () => {
    const daily = new SnapshotNameFormat("%Y-%j");
    expect(daily.next(0n, "2024-366")).toBe("2025-001");
    const micros = new SnapshotNameFormat(DEFAULT_NAME_FORMAT);
    expect(micros.next(0n, "2025-12-31_23-59-59,999999.state")).toBe("2026-01-01_00-00-00,000000.state");
  });

  it("refuses to follow a name of another format", () => {
    expect(() => new SnapshotNameFormat(DEFAULT_NAME_FORMAT).next(0n, "best.state")).toThrow(RangeError);
  });

  it("refuses times outside the years 0 to 9999", () => {
    const names = new SnapshotNameFormat(DEFAULT_NAME_FORMAT);
    expect(names.format(FIRST_US)).toBe("0000-01-01_00-00-00,000000.state");
    expect(names.format(LAST_US)).toBe("9999-12-31_23-59-59,999999.state");
    for (const timeUs of [FIRST_US - 1n, LAST_US + 1n, 10n ** 30n, -(10n ** 30n)]) {
      expect(() => names.format(timeUs)).toThrow(RangeError);
    }
    expect(() => names.next(LAST_US + 1n, "2026-01-01_00-00-00,000000.state")).toThrow(RangeError);
  });

  it("refuses to follow the last name there is, with a code of its own", () => {
    const latest = "9999-12-31_23-59-59,999999.state";
    const names = new SnapshotNameFormat(DEFAULT_NAME_FORMAT);
    expect(names.next(0n, "9999-12-31_23-59-59,999998.state")).toBe(latest);
    expect(() => names.next(0n, latest)).toThrow(
      expect.objectContaining({ code: "NAMES_EXHAUSTED", details: { latest } }),
    );
  });

  it.each([
    "2026-02-30_00-00-00,000000.state",
    "2025-02-29_00-00-00,000000.state",
    "2026-13-01_00-00-00,000000.state",
    "2026-00-01_00-00-00,000000.state",
    "2026-01-00_00-00-00,000000.state",
    "2026-01-01_24-00-00,000000.state",
    "2026-01-01_00-60-00,000000.state",
    "2026-01-01_00-00-60,000000.state",
    "2026-01-01_00-00-00,00000.state",
    "2026-01-01_00-00-00,0000000.state",
    "2026-01-01_00-00-00.000000.state",
    "2026-01-01_00-00-00,000000.STATE",
    "2026-01-01_00-00-00,000000.state.tar.gz",
    " 2026-01-01_00-00-00,000000.state",
    "2026-01-01_00-00-00,000000.state\n",
    "٢٠٢٦-01-01_00-00-00,000000.state",
    "best.state",
    "",
  ])("does not read %j, which it would never have made", (name) => {
    expect(new SnapshotNameFormat(DEFAULT_NAME_FORMAT).parse(name)).toBeUndefined();
  });

  it("does not read days a year does not have", () => {
    const names = new SnapshotNameFormat("%Y-%j");
    expect(["2025-000", "2025-366", "2024-367", "2024-999"].map((name) => names.parse(name))).toEqual(
      [undefined, undefined, undefined, undefined],
    );
    expect(names.parse("2024-366")).toBe(us("2024-12-31T00:00:00Z"));
  });

  it("reads any text without failing, and only what it would make itself", () => {
    const names = new SnapshotNameFormat("%Y-%m-%d_%H.state");
    const digits = (width: number) => fc.nat(10 ** width - 1).map((value) => String(value).padStart(width, "0"));
    const almost = fc.tuple(digits(4), digits(2), digits(2), digits(2)).map(([year, month, day, hour]) =>
      `${year}-${month}-${day}_${hour}.state`
    );
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), almost), (text) => {
        const timeUs = names.parse(text);
        if (timeUs !== undefined) expect(names.format(timeUs)).toBe(text);
      }),
      { numRuns: 1000 },
    );
  });

  it("takes literals literally, also those that mean something in patterns", () => {
    const names = new SnapshotNameFormat("a+(b)[%Y]{%m}^%d$.x%%");
    expect(names.format(0n)).toBe("a+(b)[1970]{01}^01$.x%");
    expect(names.parse("a+(b)[1970]{01}^01$.x%")).toBe(0n);
    expect(names.parse("aa+(b)[1970]{01}^01$-x%")).toBeUndefined();
  });

  it.each([
    ["", "down to the day"],
    ["state", "down to the day"],
    ["%Y.state", "down to the day"],
    ["%Y-%m.state", "down to the day"],
    ["%H-%M-%S", "sort by time"],
    ["%m-%d-%Y", "down to the day"],
    ["%d-%m-%Y", "down to the day"],
    ["%m-%d", "sort by time"],
    ["%Y-%d", "sort by time"],
    ["%Y-%m-%d_%M", "sort by time"],
    ["%Y-%m-%d_%H-%S", "sort by time"],
    ["%Y-%m-%d_%f", "sort by time"],
    ["%Y-%m-%j", "sort by time"],
    ["%Y-%m-%d_%d", "sort by time"],
    ["%Y-%m-%d_%Y", "down to the day"],
    ["%H-%Y-%m-%d", "sort by time"],
    ["%Y-%m-%d_%I-%M", '"%I"'],
    ["%Y-%m-%d_%s", '"%s"'],
    ["%y-%m-%d", '"%y"'],
    ["%Y-%m-%d %", '"%"'],
    ["%Y-%m-%d%\u00e4", '"%\u00e4"'],
    ["%Y/%m/%d", "segment"],
    ["../%Y-%m-%d", "segment"],
    [".%Y-%m-%d", "dot"],
    ["%Y-%m-%d.", "dot or a space"],
    ["%Y-%m-%d_%H:%M", "portable"],
    ["%Y-%m-%d\0", "portable"],
    ["%Y-%m-%d\ud800", "portable"],
    ["%Y-%m-%d" + "x".repeat(200), "200 bytes"],
    ["con.%Y-%m-%d", "reserved"],
    ["%Y-%m-%d.tar.gz", "layout"],
    ["%Y-%m-%d.state.tar.zst", "layout"],
  ])("refuses the format %j with its reason", (text, reason) => {
    expect(() => new SnapshotNameFormat(text)).toThrow(RangeError);
    expect(() => new SnapshotNameFormat(text)).toThrow(reason);
  });
});
