// Whatever is saved, the file that comes out is eStargz by the letter; another reading of the specification says so.
import { Buffer } from "node:buffer";
import { gunzipSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { locate, memoryBackend, StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { amount, isLong } from "../torture/budget.ts";
import { checkEstargz } from "./estargz_checker.ts";
import { withTable } from "./rewrite.ts";
import {
  archiveOf,
  bytesOf,
  digests,
  filesOf,
  noise,
  pattern,
  sha256,
  type States,
  storeOf,
  type Tree,
  TreeState,
} from "./samples.ts";

const CHUNK = 2 * 1024 * 1024;
// The slowest are left to the long form.
const SLOW = new Set(["a manifest of more than one chunk", "thousands of empty files behind a small one"]);
const EDGES = [0, 1, 511, 512, 513, CHUNK - 1, CHUNK, CHUNK + 1];
const long = (bytes: number, letter = "p") => letter.repeat(bytes);

function numbered(count: number, content: (index: number) => Uint8Array | string): Tree {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`${index % 7}/${index}.bin`, content(index)]));
}

const snapshots: Record<string, States> = {
  "no states at all": {},
  "a state without entries": { idle: {} },
  "one empty file": { a: { "empty": "" } },
  "nothing but empty files": { a: numbered(50, () => "") },
  ...Object.fromEntries(EDGES.slice(1).map((size) => [`one file of ${size} bytes`, { a: { "file": noise(size) } }])),
  "all sizes at the edges, one after the other": {
    a: Object.fromEntries(EDGES.map((size) => [`${size}.bin`, noise(size, size + 1)])),
    b: Object.fromEntries(EDGES.toReversed().map((size) => [`${size}.bin`, pattern(size)])),
  },
  "files of several chunks": {
    a: {
      "two": noise(2 * CHUNK),
      "two and a byte": noise(2 * CHUNK + 1),
      "three and a half": noise(3.5 * CHUNK),
      "zeros": new Uint8Array(4 * CHUNK - 1),
      "small": "after a big one",
    },
  },
  "paths at the edges of ustar": {
    a: {
      [long(98)]: "100 bytes with the state",
      [long(99)]: "101 bytes",
      [`${long(150)}/${long(100)}`]: "the longest prefix but three",
      [`${long(153)}/${long(100)}`]: "the longest prefix",
      [`${long(154)}/${long(100)}`]: "one too long",
      [`${long(100, "q")}/${long(101)}`]: "the name is too long",
      [`${long(255, "r")}`]: "the longest part",
      [Array.from({ length: 60 }, () => long(15, "s")).join("/")]: "deep",
    },
  },
  "paths beyond ASCII": {
    "Zustände": { "größe.txt": "ß", "データ/重み.bin": noise(700), "🦊/🦊": "", [long(60, "ü")]: "a hundred and more" },
    ["__proto__"]: { ["__proto__"]: "a name like any other", "constructor/prototype": "so is this" },
  },
  "thousands of empty files behind a small one": { a: { "first": "small", ...numbered(3000, () => "") } },
  "thousands of small files": { a: numbered(isLong ? 3000 : 1000, (index) => noise(index % 300, index)) },
  "a manifest of more than one chunk": { a: numbered(9000, (index) => `${index}`) },
};

/** Checks a file, and that the library's own reader finds the same in it. */
async function check(states: States, { store, locator, bytes }: Awaited<ReturnType<typeof archiveOf>>): Promise<void> {
  const checked = checkEstargz(bytes);
  const files = filesOf(states);
  expect([...checked.files.keys()].join("\n")).toBe([...files.keys()].join("\n"));
  expect(checked.manifest.name).toBe(locator.name);
  expect(await locator.verify()).toMatchObject({ isWhole: true, findings: [], entries: files.size });
  const loading = Object.entries(states).map(([name]) => [name, new TreeState({})] as const);
  const other = new StateStore(store.backend);
  for (const [name, state] of loading) other.register(name, state);
  await other.loadState(locator);
  for (const [name, state] of loading) {
    expect(JSON.stringify(digests(state.loaded))).toBe(JSON.stringify(digests(states[name] as Tree)));
  }
}

describe("an archive is eStargz and loads", () => {
  for (const [name, states] of Object.entries(snapshots)) {
    it.skipIf(!isLong && SLOW.has(name))(`with ${name}`, async () => {
      await check(states, await archiveOf(states));
    });
  }

  it.for(["owned", "sized stream", "stream"] as const)("handed over as %s", async (handing, { skip }) => {
    skip(!isLong && handing !== "stream", "left to the long form");
    const sizes = [...EDGES, 100_000, 2 * CHUNK, 3 * CHUNK + 5];
    const states = { a: Object.fromEntries(sizes.map((size) => [`${size}.bin`, noise(size, size + 1)])) };
    const { bytes } = await archiveOf(states);
    const handed = await archiveOf(states, { handing });
    await check(states, handed);
    expect(sha256(handed.bytes)).toBe(sha256(bytes));
  });

  it("whatever sizes follow each other", async () => {
    const size = fc.oneof(
      { weight: 6, arbitrary: fc.nat(3000) },
      { weight: 2, arbitrary: fc.constantFrom(...EDGES) },
      { weight: 1, arbitrary: fc.nat(3 * CHUNK) },
    );
    const file = fc.record({ size, seed: fc.nat(), isNoise: fc.boolean() });
    const tree = fc.array(file, { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(fc.array(tree, { maxLength: 3 }), async (trees) => {
        const states = Object.fromEntries(trees.map((files, state) => [
          `state ${state}`,
          Object.fromEntries(files.map(({ size, seed, isNoise }, index) => {
            return [`${index}.bin`, isNoise ? noise(size, seed) : pattern(size)];
          })),
        ]));
        await check(states, await archiveOf(states));
      }),
      { numRuns: amount("readers", "runs") },
    );
  });

  it("when it is streamed out", async () => {
    const states = { a: { "big": noise(2.5 * CHUNK), "small": "x", "empty": "" }, b: {} };
    const { body, name } = storeOf(states).streamState();
    const { files, manifest } = checkEstargz(await bytesOf(body));
    expect([...files.keys()]).toEqual([...filesOf(states).keys()]);
    expect(manifest.name).toBe(name);
  });

  it("when it is made of a directory, with the very bytes of one saved as an archive", async () => {
    const states = { a: { "big": noise(2.5 * CHUNK), "small": "x", "empty": "", "größe": "y" }, b: {} };
    const directory = await storeOf(states).saveState({ layout: "directory" });
    const converted = await bytesOf(directory.stream({ layout: "tar.gz" }));
    checkEstargz(converted);
    expect(sha256(converted)).toBe(sha256((await archiveOf(states)).bytes));
  });

  it("when a compression is changed and changed back", async () => {
    const { locator, bytes } = await archiveOf({ a: { "big": noise(2.5 * CHUNK), "small": "x" } });
    const tar = await bytesOf(locator.stream({ layout: "tar" }));
    const backend = memoryBackend();
    const stage = await backend.stage("plain.tar");
    await stage.publish("", [tar]);
    expect(sha256(await bytesOf(locate(backend, "plain.tar").stream({ layout: "tar.gz" })))).toBe(sha256(bytes));
  });
});

describe("the same states at the same time", () => {
  const states = {
    model: { "weights.bin": noise(1_500_000, 7), "config.json": '{"layers":3}', "empty": "" },
    "Zähler": { "ü.txt": "größe", [`${long(120)}/deep.txt`]: "a PAX header" },
  };

  it("are the same bytes", async () => {
    expect(sha256((await archiveOf(states)).bytes)).toBe(sha256((await archiveOf(states)).bytes));
  });

  it("are the same tar everywhere, up to the table, which says where compressed bytes lie", async () => {
    const { tar, tableTarOffset } = checkEstargz((await archiveOf(states)).bytes);
    // One constant for three runtimes. It changes only with the format or, as the manifest names it, the version.
    expect(sha256(tar.subarray(0, tableTarOffset))).toBe(
      "50d8e7ba12b02096a259f5b6a311581be81e8b9e2855be4b612b276bd120cde5",
    );
  });

  it("are the same whole tar everywhere where there is no table", async () => {
    const tar = await bytesOf(storeOf(states).streamState({ layout: "tar" }).body);
    expect(sha256(tar)).toBe("ab1502b03355d44753df2a490b060639b44e0890ea483a956f6aae4e48217b64");
  });

  it("differ by their time alone when that differs", async () => {
    const later = await archiveOf(states, { now: () => Date.UTC(2040, 0, 1) });
    const { manifest } = checkEstargz(later.bytes);
    expect(manifest.savedAt).toBe("2040-01-01T00:00:00.000Z");
  });

  it("are no other states", async () => {
    const other = { ...states, model: { ...states.model, "config.json": '{"layers":4}' } };
    expect(sha256((await archiveOf(other)).bytes)).not.toBe(sha256((await archiveOf(states)).bytes));
  });
});

describe("the checker itself", () => {
  const states = { a: { "big": noise(2.5 * CHUNK), "small": "x", "empty": "" } };

  it("accepts a table that was taken out and put in again", async () => {
    const { bytes } = await archiveOf(states);
    expect(() => checkEstargz(withTable(bytes, (json) => json))).not.toThrow();
  });

  it.each([
    [
      2,
      "a chunkSize on the last piece",
      (json: string) => json.replace(/"chunkOffset":4194304,/, '$&"chunkSize":524288,'),
    ],
    [2, "a piece at another place", (json: string) => json.replace('"chunkOffset":4194304', '"chunkOffset":4194303')],
    [3, "an innerOffset of a piece", (json: string) => json.replace(/"chunkOffset":4194304,/, '$&"innerOffset":512,')],
    [5, "a byte behind the brace", (json: string) => `${json}\n`],
    [5, "an entry twice", (json: string) => json.replace(/\{"name":"a\/empty".*?\}/, "$&,$&")],
    [5, "an entry less", (json: string) => json.replace(/\{"name":"a\/empty".*?\},/, "")],
    [5, "a leading ./", (json: string) => json.replace('"a/empty"', '"./a/empty"')],
    [5, "another digest of an entry", (json: string) => json.replace(/"digest":"sha256:./, '"digest":"sha256:g')],
    [
      5,
      "another digest of a piece",
      (json: string) => json.replace(/"chunkDigest":"sha256:./, '"chunkDigest":"sha256:g'),
    ],
    [5, "a size for an empty file", (json: string) => json.replace(/"a\/empty","type":"reg"/, '$&,"size":0')],
    [5, "another mode", (json: string) => json.replace('"mode":420', '"mode":493')],
    [5, "another version", (json: string) => json.replace('"version":1', '"version":2')],
    [
      1,
      "an offset where no member begins",
      (json: string) => json.replace(/"offset":(\d+)/, (_, at) => `"offset":${at - 1}`),
    ],
  ])("sees that rule %i is broken by %s", async (number, _, change) => {
    const { bytes } = await archiveOf(states);
    expect(() => checkEstargz(withTable(bytes, change))).toThrow(`rule ${number} is broken`);
  });

  it("sees another footer, none, and something behind it", async () => {
    const { bytes } = await archiveOf(states);
    const other = bytes.slice();
    const digit = other.length - 20; // the last of the offset
    other[digit] = other[digit] === 0x30 ? 0x31 : 0x30;
    expect(() => checkEstargz(other)).toThrow("rule 1 is broken");
    expect(() => checkEstargz(bytes.subarray(0, -51))).toThrow("rule 6 is broken");
    expect(() => checkEstargz(Buffer.concat([bytes, Buffer.of(0)]))).toThrow("rule 1 is broken");
    expect(() => checkEstargz(gzipSync(gunzipSync(bytes)))).toThrow("rule 6 is broken");
  });
});
