// Draws what each retention rule keeps, as the pictures of docs/retention.md: the planner decides, this only draws.
//
//   node tools/build.mjs && node tools/retention_pictures.mjs      writes docs/images/*.svg
//
// test/retention/pictures.test.ts fails when a picture differs from what the planner would have drawn now.
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { root } from "./run.mjs";

/**
 * @typedef {import("../mod.ts").RetentionSnapshot} Snapshot
 * @typedef {import("../mod.ts").RetentionRule} Rule
 * @typedef {import("../mod.ts").RetentionPlan} Plan
 * @typedef {import("../mod.ts").RetentionCalendar} Calendar
 * @typedef {import("../mod.ts").RetentionCalendarUnit} RetentionCalendarUnit
 * @typedef {{ planRetention: typeof import("../mod.ts").planRetention,
 *   keepLatest: typeof import("../mod.ts").keepLatest, keepWithin: typeof import("../mod.ts").keepWithin,
 *   keepHourly: typeof import("../mod.ts").keepHourly, keepDaily: typeof import("../mod.ts").keepDaily,
 *   keepWeekly: typeof import("../mod.ts").keepWeekly, keepMonthly: typeof import("../mod.ts").keepMonthly,
 *   keepYearly: typeof import("../mod.ts").keepYearly, keepEvery: typeof import("../mod.ts").keepEvery,
 *   keepEverySteps: typeof import("../mod.ts").keepEverySteps, keepBest: typeof import("../mod.ts").keepBest,
 *   keepTagged: typeof import("../mod.ts").keepTagged, keepUnder: typeof import("../mod.ts").keepUnder,
 *   atLeast: typeof import("../mod.ts").atLeast }} Library
 * @typedef {{ from: number, to: number, label: string }} Band
 * @typedef {{ x: number, y: number, isKept: boolean, why: string, barHeight?: number }} Mark
 */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const WIDTH = 900;
const LEFT = 40;
const STYLE = `
  .card { fill: #ffffff; stroke: #d1d9e0; }
  .band { fill: #f3f6f9; }
  .rule { fill: #1f2328; font: 600 15px ui-monospace, "DejaVu Sans Mono", monospace; }
  .text, .tick, .why { font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
  .text { fill: #59636e; }
  .tick { fill: #59636e; font-size: 11px; }
  .why { fill: #0a3069; font-size: 11.5px; }
  .axis { stroke: #818b98; }
  .line { stroke: #bc4c00; stroke-dasharray: 4 3; fill: none; }
  .lane { fill: #1f2328; font: 12px ui-monospace, "DejaVu Sans Mono", monospace; }
  .kept { fill: #0969da; stroke: #0969da; stroke-width: 1.5; }
  .removed { fill: #ffffff; stroke: #818b98; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #3d444d; }
    .band { fill: #161b22; }
    .rule, .lane { fill: #f0f6fc; }
    .text, .tick { fill: #9198a1; }
    .why { fill: #a5d6ff; }
    .line { stroke: #f0883e; }
    .kept { fill: #4493f8; stroke: #4493f8; }
    .removed { fill: #0d1117; stroke: #9198a1; }
  }`;

/** @param {number} value */
const round = (value) => String(Math.round(value * 10) / 10);

/** @param {string} text */
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** @param {string} className @param {number} x @param {number} y @param {string} text @param {string} [more] */
const words = (className, x, y, text, more = "") =>
  `<text class="${className}" x="${round(x)}" y="${round(y)}"${more}>${escaped(text)}</text>`;

/** @param {string} className @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 */
const line = (className, x1, y1, x2, y2) =>
  `<line class="${className}" x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}"/>`;

/** @param {Mark} mark */
function mark({ x, y, isKept, why, barHeight }) {
  const className = isKept ? "kept" : "removed";
  const top = barHeight === undefined ? y - 11 : y - barHeight - 7;
  const shape = barHeight === undefined
    ? `<circle class="${className}" cx="${round(x)}" cy="${round(y)}" r="5"/>`
    : `<rect class="${className}" x="${round(x - 7)}" y="${round(y - barHeight)}" width="14" height="${
      round(barHeight)
    }"/>`;
  if (!isKept || why === "") return shape;
  const turn = ` transform="rotate(-38 ${round(x + 2)} ${round(top)})"`;
  return `${shape}\n${words("why", x + 2, top, why, turn)}`;
}

/** @param {number} height @param {string} title @param {string} description @param {readonly string[]} parts */
function picture(height, title, description, parts) {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<desc>${escaped(description)}</desc>`,
    `<style>${STYLE}\n</style>`,
    `<rect class="card" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="8"/>`,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

/**
 * The stretches of a calendar unit between two instants, to the minute.
 *
 * @param {Calendar} calendar @param {RetentionCalendarUnit} unit @param {number} fromMs @param {number} toMs
 * @returns {Band[]}
 */
function bandsOf(calendar, unit, fromMs, toMs) {
  const stepMs = { hour: HOUR_MS / 4, day: HOUR_MS, week: 6 * HOUR_MS, month: DAY_MS, year: DAY_MS }[unit];
  /** @type {Band[]} */
  const bands = [];
  for (let timeMs = fromMs; timeMs < toMs; timeMs += stepMs) {
    const label = calendar.bucket(unit, timeMs);
    const last = bands.at(-1);
    if (last === undefined) bands.push({ from: fromMs, to: toMs, label });
    else if (last.label !== label) {
      let [before, after] = [timeMs - stepMs, timeMs];
      while (after - before > 60_000) {
        const middle = Math.floor((before + after) / 2);
        if (calendar.bucket(unit, middle) === last.label) before = middle;
        else after = middle;
      }
      last.to = Math.round(after / 60_000) * 60_000;
      bands.push({ from: last.to, to: toMs, label });
    }
  }
  return bands;
}

/**
 * All pictures, by file name.
 *
 * @param {Library} library The library, built or as source.
 * @returns {Map<string, string>}
 */
export function retentionPictures(library) {
  const { planRetention } = library;

  /** @param {string} zone @returns {Calendar} The planner's own, which it shows to rules. */
  function calendarOf(zone) {
    /** @type {Calendar[]} */
    const found = [];
    planRetention([{ name: "one", savedAtMs: 0 }], [(_, { calendar }) => {
      found.push(calendar);
      return [];
    }], { nowMs: 0, zone });
    const [calendar] = found;
    if (calendar === undefined) throw new TypeError("Cannot draw: the planner showed no calendar");
    return calendar;
  }

  /**
   * One timeline.
   *
   * @param {{ rule: Rule | readonly Rule[], text: string, snapshots: readonly Snapshot[], zone?: string, bands?: RetentionCalendarUnit,
   *   bandLabel?: (bucket: string) => string, nowMs?: number, positionOf?: (snapshot: Snapshot) => number,
   *   ticks?: readonly number[], heightOf?: (snapshot: Snapshot) => number, barOf?: (snapshot: Snapshot) => number,
   *   side?: string }} options
   */
  function timeline(
    { rule, text, snapshots, zone = "UTC", bands, bandLabel = (bucket) => bucket, nowMs, ticks, ...rest },
  ) {
    const { positionOf = ({ savedAtMs }) => savedAtMs, heightOf, barOf, side } = rest;
    const rules = /** @type {readonly Rule[]} */ ([rule].flat());
    const plan = planRetention(snapshots, rules, {
      nowMs: nowMs ?? Math.max(...snapshots.map(({ savedAtMs }) => savedAtMs)),
      zone,
    });
    const values = [...snapshots.map(positionOf), ...nowMs === undefined ? [] : [nowMs], ...ticks ?? []];
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const margin = (most - least) * 0.025;
    const [from, to] = [least - margin, most + margin];
    // Labels lean to the right, that of the newest out of the plot.
    const right = WIDTH - 34 - (plan.decisions.at(-1)?.reasons.join(", ").length ?? 0) * 4.9;
    /** @param {number} value */
    const x = (value) => LEFT + (value - from) / (to - from) * (right - LEFT);
    const spread = heightOf === undefined ? barOf === undefined ? 0 : 60 : 80;
    const longest = Math.max(...plan.decisions.map(({ isKept, reasons }) => isKept ? reasons.join(", ").length : 0));
    const axis = Math.round(72 + longest * 3.9 + spread + (barOf === undefined ? 22 : 8));
    const parts = [words("rule", 18, 28, rules.map((each) => each.text).join(", ")), words("text", 18, 48, text)];
    const stretches = bands === undefined ? [] : bandsOf(calendarOf(zone), bands, from, to);
    let free = -Infinity;
    for (const [index, band] of stretches.entries()) {
      const [start, end] = [x(band.from), x(band.to)];
      if (index % 2 === 0) {
        parts.push(
          `<rect class="band" x="${round(start)}" y="60" width="${round(end - start)}" height="${axis - 60}"/>`,
        );
      }
      const label = bandLabel(band.label);
      const middle = (start + end) / 2;
      const half = label.length * 3.3;
      if (middle - half < free || half > (end - start) / 2 + 4) continue;
      parts.push(words("tick", middle, axis + 18, label, ' text-anchor="middle"'));
      free = middle + half + 6;
    }
    parts.push(line("axis", LEFT, axis, right, axis));
    for (const tick of ticks ?? []) {
      parts.push(line("axis", x(tick), axis, x(tick), axis + 5));
      parts.push(words("tick", x(tick), axis + 18, tick.toLocaleString("en-US"), ' text-anchor="middle"'));
    }
    if (nowMs !== undefined) {
      parts.push(line("line", x(nowMs), 72, x(nowMs), axis), words("tick", x(nowMs) + 5, 78, "now"));
    }
    if (side !== undefined) {
      parts.push(
        words(
          "tick",
          14,
          axis - spread / 2 - 14,
          side,
          ` transform="rotate(-90 20 ${round(axis - spread / 2 - 14)})" text-anchor="middle"`,
        ),
      );
    }
    const foot = barOf === undefined ? axis - 16 : axis;
    if (heightOf !== undefined) {
      const points = plan.decisions.filter(({ snapshot }) => Number.isFinite(heightOf(snapshot)))
        .map(({ snapshot }) => `${round(x(positionOf(snapshot)))},${round(foot - heightOf(snapshot) * spread)}`);
      parts.push(`<polyline class="line" points="${points.join(" ")}"/>`);
    }
    for (const { snapshot, isKept, reasons } of plan.decisions) {
      const height = heightOf?.(snapshot) ?? 0;
      if (!Number.isFinite(height)) parts.push(words("tick", x(positionOf(snapshot)) + 9, foot + 4, String(height)));
      parts.push(mark({
        x: x(positionOf(snapshot)),
        y: foot - (Number.isFinite(height) ? height : 0) * spread,
        isKept,
        why: reasons.join(", "),
        ...barOf === undefined ? {} : { barHeight: barOf(snapshot) * spread },
      }));
    }
    return picture(axis + 32, rules.map((each) => each.text).join(", "), describe(plan), parts);
  }

  /** @param {Plan} plan */
  const describe = (plan) => `${plan.kept.length} of ${plan.decisions.length} snapshots kept. ${text(plan)}`;
  /** @param {Plan} plan */
  const text = (plan) =>
    plan.decisions.filter(({ isKept }) => isKept).map(({ snapshot, reasons }) =>
      `${snapshot.name}: ${reasons.join(", ")}`
    ).join("; ");

  /**
   * One lane for each rule by itself, and one for all together.
   *
   * @param {{ rules: readonly Rule[], text: string, snapshots: readonly Snapshot[], bands: RetentionCalendarUnit,
   *   bandLabel: (bucket: string) => string }} options
   */
  function lanes({ rules, text, snapshots, bands, bandLabel }) {
    const nowMs = Math.max(...snapshots.map(({ savedAtMs }) => savedAtMs));
    const whole = planRetention(snapshots, rules, { nowMs });
    const times = snapshots.map(({ savedAtMs }) => savedAtMs);
    const margin = (Math.max(...times) - Math.min(...times)) * 0.02;
    const [from, to] = [Math.min(...times) - margin, Math.max(...times) + margin];
    const left = 170;
    /** @param {number} value */
    const x = (value) => left + (value - from) / (to - from) * (WIDTH - left - 24);
    const axis = 84 + (rules.length + 1) * 30;
    const parts = [
      words("rule", 18, 28, "the union of all rules"),
      words("text", 18, 48, text),
    ];
    for (const [index, band] of bandsOf(calendarOf("UTC"), bands, from, to).entries()) {
      const width = x(band.to) - x(band.from);
      if (index % 2 === 0) {
        parts.push(
          `<rect class="band" x="${round(x(band.from))}" y="62" width="${round(width)}" height="${axis - 62}"/>`,
        );
      }
      if (width > 40) {
        parts.push(words("tick", x(band.from) + width / 2, axis + 18, bandLabel(band.label), ' text-anchor="middle"'));
      }
    }
    const rows = [...rules.map((rule) => ({ label: rule.text, rules: [rule] })), { label: "together", rules }];
    for (const [row, { label, rules: some }] of rows.entries()) {
      const y = 82 + row * 30 + (row === rules.length ? 8 : 0);
      parts.push(words("lane", 18, y + 4, label));
      const isWhole = row === rules.length;
      const plan = isWhole ? whole : planRetention(snapshots, some, { nowMs, keepNewest: false });
      for (const { snapshot, isKept } of plan.decisions) {
        parts.push(mark({ x: x(snapshot.savedAtMs), y, isKept, why: "" }));
      }
    }
    parts.push(line("axis", left, axis + 3, WIDTH - 24, axis + 3));
    return picture(axis + 34, "the union of all rules", describe(whole), parts);
  }

  /** @param {string} iso */
  const at = (iso) => Date.parse(iso);
  /** @param {number} savedAtMs @param {Partial<Snapshot>} [facts] @returns {Snapshot} */
  const snapshot = (savedAtMs, facts = {}) => ({ name: new Date(savedAtMs).toISOString(), savedAtMs, ...facts });
  /** @param {string} from @param {number} stepMs @param {number} count */
  const series = (from, stepMs, count) =>
    Array.from({ length: count }, (_, index) => snapshot(at(from) + index * stepMs));
  /** @param {string} bucket */
  const monthAndDay = (bucket) => bucket.slice(5);
  /** @param {string} bucket */
  const hour = (bucket) => `${bucket.slice(11)}:00`;

  const { atLeast, keepBest, keepDaily, keepEvery, keepEverySteps, keepHourly, keepLatest } = library;
  const { keepMonthly, keepTagged, keepUnder, keepWeekly, keepWithin, keepYearly } = library;
  const losses = [0.95, 0.7, 0.74, 0.5, 0.42, NaN, 0.36, 0.22, 0.3, 0.18, 0.34, 0.26, 0.4, 0.55];
  const sizes = [5, 6, 6, 9, 10, 9, 4, 5, 8, 10, 7, 6];
  const steps = [0, 480, 930, 1100, 1490, 2040, 2400, 2510, 2980, 3300, 3940, 4060, 4400];

  return new Map(Object.entries({
    "latest.svg": timeline({
      rule: keepLatest(4),
      text: "A save every six hours. The newest four stay.",
      snapshots: series("2026-11-20T00:00Z", 6 * HOUR_MS, 14),
      bands: "day",
      bandLabel: monthAndDay,
    }),
    "within.svg": timeline({
      rule: keepWithin("3d"),
      text:
        "Saves every 16 hours, then the program was off for two weeks. The window hangs on the newest snapshot, not on now.",
      snapshots: series("2026-11-01T00:00Z", 16 * HOUR_MS, 12),
      bands: "day",
      bandLabel: monthAndDay,
      nowMs: at("2026-11-22T12:00Z"),
    }),
    "hourly.svg": timeline({
      rule: keepHourly(5),
      text: "A save every 20 minutes. The newest of each of the last five hours stays.",
      snapshots: series("2026-11-23T01:10Z", HOUR_MS / 3, 24),
      bands: "hour",
      bandLabel: hour,
    }),
    "daily.svg": timeline({
      rule: keepDaily(5),
      text: "A save every seven hours, in Berlin. October 25 has 25 hours there and is a day like any other.",
      snapshots: series("2026-10-20T22:30Z", 7 * HOUR_MS, 25),
      zone: "Europe/Berlin",
      bands: "day",
      bandLabel: monthAndDay,
    }),
    "weekly.svg": timeline({
      rule: keepWeekly(4),
      text: "A save every two days, over New Year. Weeks begin on Monday; 2026 has 53 of them.",
      snapshots: series("2026-12-03T12:00Z", 2 * DAY_MS, 20),
      bands: "week",
    }),
    "monthly.svg": timeline({
      rule: keepMonthly(6),
      text: "A save every nine days. The newest of each of the last six months stays.",
      snapshots: series("2026-02-03T12:00Z", 9 * DAY_MS, 33),
      bands: "month",
    }),
    "yearly.svg": timeline({
      rule: keepYearly(9),
      text: "A save every seventy days. There are only five years yet, so the oldest snapshot of all stays too.",
      snapshots: series("2022-03-01T12:00Z", 70 * DAY_MS, 25),
      bands: "year",
    }),
    "every.svg": timeline({
      rule: keepEvery("2d"),
      text: "From the oldest on, always the next that is at least two days later.",
      snapshots: [0, 11, 24, 40, 50, 61, 75, 97, 104, 121, 147, 155, 170, 199, 206, 214, 240].map((hours) =>
        snapshot(at("2026-11-13T06:00Z") + hours * HOUR_MS)
      ),
      bands: "day",
      bandLabel: monthAndDay,
    }),
    "every_steps.svg": timeline({
      rule: keepEverySteps(1000),
      text: "The snapshot closest to each multiple of 1,000 steps, however irregular the saves are.",
      snapshots: steps.map((step, index) => snapshot(at("2026-11-23T00:00Z") + index * HOUR_MS, { step })),
      positionOf: ({ step = 0 }) => step,
      ticks: [0, 1000, 2000, 3000, 4000],
    }),
    "best.svg": timeline({
      rule: keepBest("loss", "min", 3),
      text: "The three with the least loss. A NaN never displaces a value; the newest stays, however bad it is.",
      snapshots: losses.map((loss, index) =>
        snapshot(at("2026-11-23T00:00Z") + index * HOUR_MS, { metrics: { loss } })
      ),
      heightOf: ({ metrics }) => metrics?.["loss"] ?? NaN,
      side: "loss",
      bands: "hour",
      bandLabel: hour,
    }),
    "tagged.svg": timeline({
      rule: keepTagged("release", "paper"),
      text: "Those that carry one of the tags, as long as they carry it.",
      snapshots: series("2026-11-20T00:00Z", 6 * HOUR_MS, 14).map((each, index) => ({
        ...each,
        tags: index === 2 || index === 8 ? ["release"] : index === 5 ? ["paper"] : [],
      })),
      bands: "day",
      bandLabel: monthAndDay,
    }),
    "under.svg": timeline({
      rule: keepUnder(40),
      text: "The height is the size. The oldest go until at most 40 bytes remain; what is pinned counts and stays.",
      snapshots: series("2026-11-20T03:00Z", 6 * HOUR_MS, 12).map((each, index) => ({
        ...each,
        sizeBytes: sizes[index],
        pinned: index === 1,
      })),
      barOf: ({ sizeBytes = 0 }) => sizeBytes / 10,
      bands: "day",
      bandLabel: monthAndDay,
    }),
    "at_least.svg": timeline({
      rule: atLeast(4, keepWithin("1d")),
      text: "The last day would hold two; the newest before it stay besides, until there are four.",
      snapshots: [0, 20, 41, 60, 84, 100, 121, 150, 158].map((hours) =>
        snapshot(at("2026-11-16T06:00Z") + hours * HOUR_MS)
      ),
      bands: "day",
      bandLabel: monthAndDay,
    }),
    "union.svg": lanes({
      rules: [keepLatest(3), keepDaily(7), keepWeekly(4), keepMonthly(3)],
      text: "A save every day at noon. What one rule keeps, stays; rules may keep the same ones.",
      snapshots: series("2026-10-07T12:00Z", DAY_MS, 48),
      bands: "week",
      bandLabel: (bucket) => bucket,
    }),
  }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  /** @type {Library} */
  const library = await import(pathToFileURL(path.join(root, "dist/mod.js")).href);
  const folder = path.join(root, "docs/images");
  await mkdir(folder, { recursive: true });
  const pictures = retentionPictures(library);
  for (const [file, svg] of pictures) await writeFile(path.join(folder, file), svg);
  console.log(`${pictures.size} pictures drawn`);
}
