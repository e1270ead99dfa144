// Writes the tables of docs/states.md: what each state keeps, found by trying, and how fast it is.
//
//   node tools/build.mjs && node tools/states_table.mjs             what is kept; a test holds the page against it
//   npm ci --prefix tools/bench && node tools/states_table.mjs --speed    speed as well, on a quiet machine
import { Buffer } from "node:buffer";
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { isDeepStrictEqual } from "node:util";
import v8 from "node:v8";
import { root } from "./run.mjs";

/** @typedef {{ snapkeep: typeof import("../mod.ts"), states: typeof import("../src/states/mod.ts") }} Library */

class Vector {
  x = 1;
}

/** @type {readonly (readonly [string, () => unknown])[]} */
export const samples = [
  ["plain objects, arrays, texts, finite numbers, null", () => ({ a: [1, "ü", null, true] })],
  ["undefined in an object", () => ({ a: undefined, b: 1 })],
  ["undefined in an array, holes", () => Object.assign([1, undefined], { 3: 2 })],
  ["NaN, Infinity", () => [NaN, Infinity, -Infinity]],
  ["-0", () => [-0]],
  ["BigInt", () => [2n ** 70n]],
  ["Date", () => [new Date(1e12)]],
  ["Map, Set", () => [new Map([[{ k: 1 }, new Set([1])]])]],
  ["RegExp", () => [/a+/giu]],
  ["URL", () => [new URL("https://example.org/?a=1")]],
  ["Error with cause", () => [new RangeError("far", { cause: "deep" })]],
  ["typed arrays", () => [new Float32Array([1, NaN]), new BigInt64Array([1n])]],
  ["ArrayBuffer, DataView", () => [new Uint8Array([1]).buffer, new DataView(new ArrayBuffer(2))]],
  ["Node's Buffer", () => [Buffer.from("bytes")]],
  ["boxed primitives", () => [Object(1), Object("a")]],
  ["cycles", () => {
    const loop = { self: /** @type {unknown} */ (undefined) };
    loop.self = loop;
    return loop;
  }],
  ["shared references", () => {
    const shared = { a: 1 };
    return [shared, shared];
  }],
  ["objects without a prototype", () => Object.assign(Object.create(null), { a: 1 })],
  ["named properties of arrays", () => Object.assign([1], { best: 1 })],
  ["instances of a class, named in `classes`", () => [new Vector()]],
  ["instances of another class", () => [
    new (class Other {
      y = 1;
    })(),
  ]],
  ["a subclass of Map", () => [new (class Dictionary extends Map {})([["a", 1]])]],
  ["functions, symbols, promises", () => [() => 1]],
];

/** @param {Library} library */
function states({ states: { jsonState, linesState, savedClass, structuredState } }) {
  const classes = { Vector: savedClass(Vector, ({ x }) => ({ x }), (data) => Object.assign(new Vector(), data)) };
  return {
    /** @param {{ value: unknown }} held */
    jsonState: (held) => jsonState({ get: () => held.value, set: (value) => held.value = value }),
    /** @param {{ value: unknown }} held */
    linesState: (held) =>
      linesState({
        read: () => [held.value],
        write: async (records) => {
          for await (const record of records) held.value = record;
        },
      }),
    /** @param {{ value: unknown }} held */
    structuredState: (held) => structuredState({ get: () => held.value, set: (value) => held.value = value, classes }),
  };
}

/** @param {unknown} back @param {unknown} value */
function verdictOf(back, value) {
  const isShared = Array.isArray(value) && value.length === 2 && value[0] === value[1];
  if (isShared && Array.isArray(back) && back[0] !== back[1]) return "copies";
  const isError = Array.isArray(value) && value[0] instanceof Error;
  if (isError) {
    const [found] = /** @type {unknown[]} */ (back);
    return found instanceof RangeError && found.message === "far" && found.cause === "deep" ? "✓" : "changed";
  }
  return isDeepStrictEqual(back, value)
    ? "✓"
    : Object.is(JSON.stringify(back), JSON.stringify(value))
    ? "changed"
    : "lost";
}

/**
 * What each state keeps, as a Markdown table.
 *
 * @param {Library} library
 * @returns {Promise<string>}
 */
export async function keptTable(library) {
  const { StateStore, memoryBackend } = library.snapkeep;
  const kinds = states(library);
  const columns = [...Object.keys(kinds), "`JSON.stringify`"];
  const rows = [];
  for (const [name, make] of samples) {
    const cells = [];
    for (const kind of Object.values(kinds)) {
      const held = { value: make() };
      const store = new StateStore(memoryBackend(), { startFresh: true }).register("it", kind(held));
      try {
        const snapshot = await store.saveState();
        held.value = "nothing";
        await store.loadState(snapshot);
        cells.push(verdictOf(held.value, make()));
      } catch {
        cells.push("✗");
      }
    }
    try {
      cells.push(verdictOf(JSON.parse(JSON.stringify(make())), make()));
    } catch {
      cells.push("✗");
    }
    rows.push(`| ${name} | ${cells.join(" | ")} |`);
  }
  return [`| | ${columns.join(" | ")} |`, `|---|${"---|".repeat(columns.length)}`, ...rows].join("\n");
}

/** @param {() => unknown} run */
async function least(run, rounds = 3) {
  let [best, held] = [Infinity, 0];
  for (let round = 0; round < rounds; round++) {
    const since = performance.now();
    const running = run();
    const heldMs = performance.now() - since;
    await running;
    const ms = performance.now() - since;
    if (ms < best) [best, held] = [ms, heldMs];
  }
  return { ms: best, heldMs: held };
}

/**
 * How fast each is, as a Markdown table.
 *
 * @param {Library} library
 * @returns {Promise<string>}
 */
async function speedTable(
  { snapkeep: { StateStore, memoryBackend }, states: { bytesState, linesState, structuredState } },
) {
  const devalue = await import("devalue");
  const msgpackr = createRequire(path.join(root, "tools/bench/package.json"))("msgpackr");
  const packer = new msgpackr.Packr({ structuredClone: true, moreTypes: true });
  const arrays = Array.from({ length: 10 }, (_, index) => new Float32Array(2_500_000).fill(index + 0.5));
  const records = Array.from(
    { length: 100_000 },
    (_, id) => ({ id, name: `record ${id}`, score: id / 3, tags: ["a", "b"] }),
  );
  /** @param {(held: { value: unknown }) => import("../mod.ts").PersistentState} kind */
  const stored = (kind) => async (/** @type {unknown} */ value) => {
    const held = { value };
    const store = new StateStore(memoryBackend(), { startFresh: true }).register("it", kind(held));
    let snapshot = await store.saveState();
    const save = await least(() => store.saveState().then((saved) => snapshot = saved));
    const load = await least(() => store.loadState(snapshot));
    return { save, load, sizeBytes: (await snapshot.manifest()).totals.sizeBytes };
  };
  /** @param {(value: unknown) => string | Uint8Array} write @param {(text: never) => unknown} read */
  const alone = (write, read) => async (/** @type {unknown} */ value) => {
    let text = write(value);
    const save = await least(() => void (text = write(value)));
    const load = await least(() => void read(/** @type {never} */ (text)));
    return { save, load, sizeBytes: Buffer.byteLength(text) };
  };
  /** @type {Record<string, readonly [boolean, boolean, (value: unknown) => Promise<{ save: { ms: number, heldMs: number }, load: { ms: number }, sizeBytes: number }>]>} */
  const ways = {
    structuredState: [
      true,
      true,
      stored((held) => structuredState({ get: () => held.value, set: (value) => held.value = value })),
    ],
    "bytesState, one array": [
      true,
      false,
      stored((held) =>
        bytesState({ get: () => /** @type {Float32Array[]} */ (held.value)[0] ?? new Uint8Array(), set() {} })
      ),
    ],
    linesState: [
      false,
      true,
      stored((held) =>
        linesState({
          read: () => /** @type {unknown[]} */ (held.value),
          write: async (lines) => {
            const all = [];
            for await (const line of lines) all.push(line);
            held.value = all;
          },
        })
      ),
    ],
    "JSON alone": [
      true,
      true,
      alone(
        (value) => JSON.stringify(value === arrays ? arrays.map((each) => [...each]) : value),
        (text) => JSON.parse(text),
      ),
    ],
    "devalue alone": [true, true, alone((value) => devalue.stringify(value), (text) => devalue.parse(text))],
    "msgpackr alone": [true, true, alone((value) => packer.pack(value), (bytes) => packer.unpack(bytes))],
    "v8.serialize alone": [true, true, alone((value) => v8.serialize(value), (bytes) => v8.deserialize(bytes))],
  };
  /** @param {number} value */
  const round = (value) => Number(value.toPrecision(2)).toLocaleString("en-US");
  const rows = [];
  for (const [name, [takesArrays, takesRecords, measure]] of Object.entries(ways)) {
    process.stderr.write(`${name}\n`);
    const cells = [];
    if (takesArrays) {
      const given = name.startsWith("bytes") ? arrays.slice(0, 1) : arrays;
      const megabytes = given.length * 10;
      const { save, load, sizeBytes } = await measure(given).catch(() => ({
        save: { ms: NaN, heldMs: NaN },
        load: { ms: NaN },
        sizeBytes: NaN,
      }));
      cells.push(
        ...[megabytes / save.ms * 1000, megabytes / load.ms * 1000, save.heldMs, sizeBytes / 1e6].map((each) =>
          Number.isNaN(each) ? "fails" : round(each)
        ),
      );
    } else cells.push("", "", "", "");
    if (takesRecords) {
      const { save, load, sizeBytes } = await measure(records);
      cells.push(
        ...[records.length / save.ms * 1000, records.length / load.ms * 1000, save.heldMs, sizeBytes / 1e6].map(round),
      );
    } else cells.push("", "", "", "");
    rows.push(`| ${name} | ${cells.join(" | ")} |`);
  }
  return [
    `100 MB of typed arrays (ten of 2.5 million floats), and 100,000 records of four fields; saved to memory and loaded, with all digests. Node ${process.versions.node}, ${os.availableParallelism()} cores, ${
      new Date().toISOString().slice(0, 10)
    }; the best of three. "Held" is how long the call of \`saveState\` keeps the program from going on, "alone" a codec without a store.`,
    "",
    "| | arrays: MB/s saved | loaded | held ms | MB | records/s saved | loaded | held ms | MB |",
    `|---|${"---|".repeat(8)}`,
    ...rows,
  ].join("\n");
}

/**
 * A page with a table in its place.
 *
 * @param {string} page
 * @param {"kept" | "speed"} name
 * @param {string} table
 */
export function withTable(page, name, table) {
  const place = new RegExp(`(<!-- ${name}:.*-->\n)[^]*?(<!-- end -->)`);
  if (!place.test(page)) throw new Error(`Cannot write the table "${name}": the page has no place for it`);
  return page.replace(place, (_, before, after) => `${before}${table}\n${after}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  /** @param {string} file */
  const built = (file) => import(pathToFileURL(path.join(root, "dist", file)).href);
  /** @type {Library} */
  const library = { snapkeep: await built("mod.js"), states: await built("src/states/mod.js") };
  const file = path.join(root, "docs/states.md");
  let page = withTable(await readFile(file, "utf8"), "kept", await keptTable(library));
  if (process.argv.includes("--speed")) page = withTable(page, "speed", await speedTable(library));
  await writeFile(file, page);
}
