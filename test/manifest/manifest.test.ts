// The manifest is the commit record: what is sealed parses, and what was changed by a single bit does not.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { atOnce } from "../../src/runtime/concurrency.ts";
import { digestOf } from "../../src/runtime/digest.ts";
import {
  type ManifestFacts,
  MAX_MANIFEST_BYTES,
  openManifest,
  parseManifest,
  sealManifest,
} from "../../src/manifest/manifest.ts";
import { renderNote, storableLabels } from "../../src/manifest/labels.ts";
import { collisionKey } from "../../src/model/entry_path.ts";
import type { Digest, Labels, WrittenEntry } from "../../src/model/snapshot.ts";
import { FORMAT_VERSION } from "../../src/model/version.ts";

const URI = "file:///states/x.state";
const DIGEST = `sha256:${"ab".repeat(32)}` as const;

const facts: ManifestFacts = {
  name: "x.state",
  savedAt: new Date("2026-11-23T07:04:34.123Z"),
  states: [{ name: "model", version: 2 }, { name: "replay", version: 1 }],
  parent: "w.state",
  labels: { tags: ["nightly"], metrics: { loss: 0.5, unknown: null }, step: 7, remark: "ok", pinned: true },
};
const written: readonly WrittenEntry[] = [
  { state: "model", path: "weights/0.bin", sizeBytes: 4, digest: DIGEST },
  { state: "replay", path: "log.json", sizeBytes: 0, digest: digestOf(new Uint8Array()) },
  { state: "model", path: "config.json", sizeBytes: 9, digest: DIGEST },
];

type Json = Record<string, unknown>;

/** A manifest of any content with a digest line that is right: what a hostile writer would make. */
function signed(value: unknown): Uint8Array {
  return signedText(JSON.stringify(value).slice(0, -1));
}

function signedText(body: string): Uint8Array {
  const text = `${body},`;
  return new TextEncoder().encode(`${text}\n  "digest": "${digestOf(new TextEncoder().encode(text))}"\n}\n`);
}

/** A good manifest as plain data, but for its digest. */
function plain(): Json & { states: (Json & { entries: Json[] })[]; totals: Json; labels: Json; library: Json } {
  const value = JSON.parse(new TextDecoder().decode(sealManifest(facts, written).bytes));
  delete value.digest;
  return value;
}

const invalid = expect.objectContaining({
  code: "MANIFEST_INVALID",
  details: { uri: URI, reason: expect.stringMatching(/./) },
});

const word = fc.string({ unit: fc.constantFrom(...Array.from("abcÄz09_重")), minLength: 1, maxLength: 6 });
const digest = fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => digestOf(bytes));
const finite = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value === 0 ? 0 : value);
const anyText = fc.string({ unit: "binary" });
const labels: fc.Arbitrary<Labels> = fc.record({
  tags: fc.array(anyText, { maxLength: 3 }),
  metrics: fc.dictionary(word, fc.option(finite), { maxKeys: 3 }),
  step: finite,
  remark: anyText,
  pinned: fc.boolean(),
}, { requiredKeys: [] });
const sealed = fc.record({
  name: word.map((name) => `${name}.state`),
  savedAt: fc.date({
    min: new Date("0000-01-01T00:00:00Z"),
    max: new Date("9999-12-31T23:59:59.999Z"),
    noInvalidDate: true,
  }),
  states: fc.uniqueArray(fc.record({ name: word, version: fc.integer({ min: 1 }) }), {
    selector: ({ name }) => collisionKey(name),
    maxLength: 4,
  }),
  parent: fc.option(anyText),
  labels,
}).chain((someFacts) => {
  const entry = fc.record({
    state: fc.constantFrom(...someFacts.states.map(({ name }) => name), ""),
    sizeBytes: fc.oneof(fc.nat(), fc.constantFrom(0, 2 ** 40)),
    digest,
  });
  return fc.array(entry, { maxLength: 6 }).map((entries) => ({
    facts: someFacts,
    // Each path is new by its number; how paths may collide is tested with the paths.
    written: entries.filter(({ state }) => state !== "").map((one, index) => ({
      ...one,
      path: `f${index % 2}/${index}.bin`,
    })),
  }));
});

describe("an entry that is found without reading all others", () => {
  const { bytes } = sealManifest(facts, written);
  const text = new TextDecoder().decode(bytes);
  const body = text.slice(0, text.lastIndexOf(',\n  "digest"'));

  it("is the one that the whole manifest has", async () => {
    const opened = await openManifest(bytes, URI);
    expect(atOnce(opened.finding("model/config.json"))).toEqual({ path: "config.json", sizeBytes: 9, digest: DIGEST });
    expect(atOnce(opened.finding("model/none"))).toBeUndefined();
  });

  it("is none of another state, also where its own has none", async () => {
    const states = ["none", "model", "foo", "last"].map((name) => ({ name, version: 1 }));
    const entries = [{ state: "model", path: "x", sizeBytes: 4, digest: DIGEST }, { ...written[0]!, state: "foo" }];
    const opened = await openManifest(sealManifest({ ...facts, states }, entries).bytes, URI);
    expect(atOnce(opened.finding("model/x"))?.path).toBe("x");
    for (const path of ["none/x", "foo/x", "last/x", "x", "/x", "modelx", ""]) {
      expect(atOnce(opened.finding(path)), path).toBeUndefined();
    }
  });

  it("is looked for by its line only where no name is longer than any may be", async () => {
    const long = "a".repeat(20_000_000);
    const forged = body.replace('"weights/0.bin"', JSON.stringify(long));
    const opened = await openManifest(signedText(forged), URI);
    expect(atOnce(opened.finding("model/config.json"))).toBeUndefined();
    expect(() => opened.manifest).toThrow(invalid);
  });

  // Each holds lines that look like the entry, where they are none; the real one is spelt so that no line looks like it.
  const states = body.slice(body.indexOf("\n    {"), body.lastIndexOf("\n  ]"));
  const forged = states.replaceAll("abab", "0000");
  const disguised = states.replaceAll('{"name"', '{ "name"');
  it.each([
    ["in labels", body.replace('"labels": {', `"labels": {"x":[${forged}],`).replace(states, disguised)],
    ["in a state", body.replace(states, disguised.replace('{ "name"', `{ "x":[${forged}],"name"`))],
    ["in states that are not the last", body.replace(states, forged) + `,\n  "st\\u0061tes": [${states}\n  ]`],
    [
      "in a state that is not the first",
      body.replace(states, `${disguised},\n    {"x":[${forged}],${states.slice(6)}`),
    ],
  ])("is not what looks like it %s", async (_, changed) => {
    expect(changed).toContain("0000");
    expect(atOnce((await openManifest(signedText(changed), URI)).finding("model/config.json"))).toBeUndefined();
  });
});

describe("sealManifest and parseManifest", () => {
  it("give back whatever states, entries and labels were sealed", async () => {
    await fc.assert(
      fc.asyncProperty(sealed, async (given) => {
        const { manifest, bytes } = sealManifest(given.facts, given.written);
        const parsed = await parseManifest(bytes, URI);
        expect(parsed).toEqual(manifest);
        expect(parsed).toEqual({
          formatVersion: FORMAT_VERSION,
          name: given.facts.name,
          savedAt: given.facts.savedAt.toISOString(),
          library: { name: "snapkeep", version: expect.stringMatching(/^\d+\.\d+\.\d+/) },
          parent: given.facts.parent,
          states: given.facts.states.map((state) => ({
            ...state,
            entries: given.written.filter((entry) => entry.state === state.name)
              .map(({ path, sizeBytes, digest }) => ({ path, sizeBytes, digest })),
          })),
          totals: {
            states: given.facts.states.length,
            entries: given.written.length,
            sizeBytes: given.written.reduce((sum, entry) => sum + entry.sizeBytes, 0),
          },
          labels: given.facts.labels,
        });
      }),
      { numRuns: 300 },
    );
  });

  it("are deterministic: the same facts make the same bytes", () => {
    expect(sealManifest(facts, written).bytes).toEqual(sealManifest({ ...facts }, [...written]).bytes);
  });

  it("write JSON that people can read: one member or entry a line, the digest of all before it last", () => {
    const text = new TextDecoder().decode(sealManifest(facts, written).bytes);
    const lines = text.split("\n");
    expect(lines.filter((line) => line.includes('"path"'))).toHaveLength(3);
    expect(lines.at(-1)).toBe("");
    expect(lines.at(-2)).toBe("}");
    expect(lines.at(-3)).toMatch(/^ {2}"digest": "sha256:[0-9a-f]{64}"$/);
    const before = text.slice(0, text.lastIndexOf('\n  "digest"'));
    expect(lines.at(-3)).toContain(digestOf(new TextEncoder().encode(before)));
    expect(JSON.parse(text)).toMatchObject({
      format: "snapkeep",
      name: "x.state",
      totals: { entries: 3, sizeBytes: 13 },
    });
  });

  it("seal no labels that could not be read back: the snapshot would be lost", () => {
    const hostile = [
      { step: NaN },
      { step: Infinity },
      { step: "7" },
      { tags: "nightly" },
      { tags: [1] },
      { pinned: "yes" },
      { remark: 5 },
      { metrics: { loss: "low" } },
      { metrics: [1] },
      { tags: Array(600_000).fill("nightly") },
      { metrics: JSON.parse('{"__proto__":1}') },
      null,
      [],
    ];
    for (const wrong of hostile) {
      const seal = () => sealManifest({ ...facts, labels: wrong as unknown as Labels }, written);
      expect(seal).toThrow(TypeError);
      expect(seal).toThrow(/^Cannot use these labels: ./);
    }
  });

  it("seal equal labels to equal bytes, whatever order they are given in", () => {
    const labels: Labels = { tags: ["a"], metrics: { loss: 1 }, step: 7, remark: "after", pinned: true };
    const turned = Object.fromEntries(Object.entries(labels).reverse()) as Labels;
    const bytesOf = (given: Labels) =>
      new TextDecoder().decode(sealManifest({ ...facts, labels: given }, written).bytes);
    expect(bytesOf(storableLabels(turned))).toBe(bytesOf(storableLabels(labels)));
    expect(renderNote(storableLabels(turned))).toEqual(renderNote(storableLabels(labels)));
  });

  it("seal metrics that are no finite numbers as null", async () => {
    const { bytes } = sealManifest({ ...facts, labels: { metrics: { a: NaN, b: Infinity, c: 1 } } }, written);
    expect((await parseManifest(bytes, URI)).labels).toEqual({ metrics: { a: null, b: null, c: 1 } });
  });
});

describe("parseManifest, of damaged bytes", () => {
  const { bytes } = sealManifest(facts, written);

  it("refuses every change of a single bit", async () => {
    const damaged = bytes.slice();
    for (let index = 0; index < bytes.length; index++) {
      for (let bit = 1; bit < 256; bit *= 2) {
        damaged[index] = (bytes[index] ?? 0) ^ bit;
        await expect(parseManifest(damaged, URI)).rejects.toThrow(invalid);
      }
      damaged[index] = bytes[index] ?? 0;
    }
    expect((await parseManifest(damaged, URI)).name).toBe("x.state");
  });

  it("refuses every truncation, at either end", async () => {
    for (let length = 0; length < bytes.length; length++) {
      await expect(parseManifest(bytes.subarray(0, length), URI)).rejects.toThrow(invalid);
      await expect(parseManifest(bytes.subarray(bytes.length - length), URI)).rejects.toThrow(invalid);
    }
  });

  it("tells a cut from a change", async () => {
    await expect(parseManifest(bytes.subarray(0, -1), URI)).rejects.toThrow("it does not end with its digest line");
    await expect(parseManifest(bytes.with(20, 0), URI)).rejects.toThrow(/its digest is sha256:\w+, not sha256:/);
  });

  it("refuses every insertion, removal and replacement of a stretch", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(bytes.length),
        fc.nat(40),
        fc.uint8Array({ maxLength: 40 }),
        async (at, removed, inserted) => {
          const changed = [...bytes.subarray(0, at), ...inserted, ...bytes.subarray(at + removed)];
          fc.pre(changed.length !== bytes.length || changed.some((byte, index) => byte !== bytes[index]));
          await expect(parseManifest(Uint8Array.from(changed), URI)).rejects.toThrow(invalid);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("refuses two manifests one after the other, and anything behind the end", async () => {
    await expect(parseManifest(Uint8Array.from([...bytes, ...bytes]), URI)).rejects.toThrow(invalid);
    await expect(parseManifest(Uint8Array.from([...bytes, 10]), URI)).rejects.toThrow(invalid);
    await expect(parseManifest(Uint8Array.from([...bytes, 0]), URI)).rejects.toThrow(invalid);
  });

  it("refuses one larger than the limit before it reads it", async () => {
    // A view that claims its length: no code may touch the bytes.
    const huge = new Proxy(bytes, {
      get: (target, key) => {
        if (key === "length") return MAX_MANIFEST_BYTES + 1;
        throw new Error(`${String(key)} of a manifest too large was touched, ${target.length}`);
      },
    });
    await expect(parseManifest(huge, URI)).rejects.toThrow(invalid);
  });
});

describe("parseManifest, of other formats", () => {
  it.each([0, FORMAT_VERSION + 1, 1000, 1e300])(
    "names format version %d as FORMAT_UNSUPPORTED",
    async (formatVersion) => {
      const newer = signed({ ...plain(), formatVersion, states: "of a shape unknown today" });
      await expect(parseManifest(newer, URI)).rejects.toThrow(
        expect.objectContaining({
          code: "FORMAT_UNSUPPORTED",
          details: expect.objectContaining({ uri: URI, found: String(formatVersion) }),
        }),
      );
    },
  );

  it("keeps fields it does not know, everywhere", async () => {
    const value = plain();
    value["later"] = { a: [1, { b: null }] };
    value.labels["mood"] = "good";
    value.library["commit"] = "abc";
    value.totals["files"] = 5;
    const [state] = value.states;
    if (state === undefined) throw new Error("no state");
    state["codec"] = "cbor";
    Object.assign(state.entries[0] ?? {}, { mediaType: "x/y" });
    const parsed = await parseManifest(signed(value), URI);
    expect(parsed).toMatchObject({
      later: { a: [1, { b: null }] },
      labels: { mood: "good", step: 7 },
      library: { commit: "abc" },
      totals: { files: 5 },
    });
    expect(parsed.states[0]).toMatchObject({ codec: "cbor", name: "model" });
    expect(parsed.states[0]?.entries[0]).toMatchObject({ mediaType: "x/y" });
  });

  it("accepts its own plain data signed anew, so that the refusals below are not for another reason", async () => {
    expect((await parseManifest(signed(plain()), URI)).name).toBe("x.state");
  });
});

describe("parseManifest, of hostile content that is rightly signed", () => {
  type Plain = ReturnType<typeof plain>;
  const entry = (value: Plain, changes: Json): void => void Object.assign(value.states[0]?.entries[0] ?? {}, changes);

  it.each<[string, (value: Plain) => unknown]>([
    ["another format", (value) => (value["format"] = "other")],
    ["no format", (value) => delete value["format"]],
    ["a negative format version", (value) => (value["formatVersion"] = -1)],
    ["a format version as text", (value) => (value["formatVersion"] = "0")],
    ["no format version", (value) => delete value["formatVersion"]],
    ["no name", (value) => delete value["name"]],
    ["a name that leads elsewhere", (value) => (value["name"] = "../x.state")],
    ["an empty name", (value) => (value["name"] = "")],
    ["a hidden name", (value) => (value["name"] = ".x.state")],
    ["a name that ends as archives do", (value) => (value["name"] = "x.state.Tar.gz")],
    ["a name too long", (value) => (value["name"] = "x".repeat(300))],
    ["no time", (value) => delete value["savedAt"]],
    ["a time that is none", (value) => (value["savedAt"] = "yesterday")],
    ["a time without a zone", (value) => (value["savedAt"] = "2026-11-23T07:04:34.123")],
    ["a day that is none", (value) => (value["savedAt"] = "2026-02-30T07:04:34.123Z")],
    ["a parent that is no text", (value) => (value["parent"] = 5)],
    ["states that are no list", (value) => Object.assign(value, { states: {} })],
    ["a state that is none", (value) => Object.assign(value, { states: [null] })],
    ["a state of an unsafe name", (value) => Object.assign(value.states[0] ?? {}, { name: ".." })],
    ["a state named as the manifest", (value) => Object.assign(value.states[0] ?? {}, { name: "manifest.json" })],
    ["a state of several segments", (value) => Object.assign(value.states[0] ?? {}, { name: "a/b" })],
    ["two states of one name", (value) => Object.assign(value.states[1] ?? {}, { name: "model" })],
    ["two states that collide", (value) => Object.assign(value.states[1] ?? {}, { name: "MODEL" })],
    ["two colliding states without entries", (value) => {
      value.states = [{ name: "a", version: 1, entries: [] }, { name: "A", version: 1, entries: [] }];
      value.totals = { states: 2, entries: 0, sizeBytes: 0 };
    }],
    ["a version of 0", (value) => Object.assign(value.states[0] ?? {}, { version: 0 })],
    ["a version that is no whole number", (value) => Object.assign(value.states[0] ?? {}, { version: 1.5 })],
    ["an entry that leads out of its state", (value) => entry(value, { path: "../replay/log.json" })],
    ["an absolute entry", (value) => entry(value, { path: "/etc/passwd" })],
    ["an entry with a backslash", (value) => entry(value, { path: "a\\b" })],
    ["an entry with a NUL", (value) => entry(value, { path: "a\0" })],
    ["an empty entry path", (value) => entry(value, { path: "" })],
    ["an entry path too long", (value) => entry(value, { path: "x/".repeat(600) + "x" })],
    ["two entries of one path", (value) => entry(value, { path: "config.json" })],
    ["two entries that collide", (value) => entry(value, { path: "CONFIG.json" })],
    ["an entry below another", (value) => entry(value, { path: "config.json/a" })],
    ["a negative size", (value) => entry(value, { sizeBytes: -4 })],
    ["a size that is no whole number", (value) => entry(value, { sizeBytes: 4.5 })],
    ["a size as text", (value) => entry(value, { sizeBytes: "4" })],
    ["a size of null", (value) => entry(value, { sizeBytes: null })],
    ["a size past what numbers can tell apart", (value) => entry(value, { sizeBytes: 2 ** 53 })],
    ["sizes whose sum is past that", (value) => {
      entry(value, { sizeBytes: 2 ** 53 - 1 });
      value.totals["sizeBytes"] = 2 ** 53 - 1 + 9;
    }],
    ["a digest of another kind", (value) => entry(value, { digest: "md5:abc" })],
    ["a digest in upper case", (value) => entry(value, { digest: DIGEST.toUpperCase().replace("SHA256", "sha256") })],
    ["a digest cut short", (value) => entry(value, { digest: DIGEST.slice(0, -1) })],
    ["totals that count other states", (value) => (value.totals["states"] = 3)],
    ["totals that count other entries", (value) => (value.totals["entries"] = 2)],
    ["totals that sum up otherwise", (value) => (value.totals["sizeBytes"] = 12)],
    ["no totals", (value) => Object.assign(value, { totals: undefined })],
    ["no library", (value) => Object.assign(value, { library: undefined })],
    ["no labels", (value) => Object.assign(value, { labels: undefined })],
    ["labels of wrong types", (value) => (value.labels["pinned"] = "yes")],
    ["metrics that are no numbers", (value) => (value.labels["metrics"] = { loss: "low" })],
  ])("refuses %s", async (_, change) => {
    const value = plain();
    change(value);
    await expect(parseManifest(signed(value), URI)).rejects.toThrow(invalid);
  });

  it.each([
    ["at the top", (text: string) => text.replace('{"format"', '{"__proto__":{"name":"x.state"},"format"')],
    ["in a state", (text: string) => text.replace('"version":2', '"version":2,"__proto__":{"a":1}')],
    ["in the metrics", (text: string) => text.replace('"loss":0.5', '"__proto__":0.5')],
    ["in an unknown field", (text: string) => text.replace('{"format"', '{"x":[{"__proto__":null}],"format"')],
  ])("refuses the key __proto__ %s", async (_, change) => {
    const text = JSON.stringify(plain()).slice(0, -1);
    expect(change(text)).not.toBe(text);
    await expect(parseManifest(signedText(change(text)), URI)).rejects.toThrow(invalid);
    expect(({} as Json)["a"]).toBeUndefined();
  });

  it.each([
    ["no JSON", "{ not json"],
    ["no object", "[1"],
    ["nested past any stack", `{"x":${"[".repeat(200_000)}${"]".repeat(200_000)}`],
  ])("refuses %s", async (_, body) => {
    await expect(parseManifest(signedText(body), URI)).rejects.toThrow(invalid);
  });

  const manyValues = 2 ** 20 + 100_000;

  it.each([
    ["numbers", `[${"0,".repeat(manyValues)}0]`],
    ["lists", `[${"[],".repeat(manyValues / 2)}0]`],
    ["objects", `[${"{},".repeat(manyValues / 2)}0]`],
  ])("refuses more %s than its length can need: they would take a hundred times its size", async (_, list) => {
    const body = JSON.stringify(plain()).slice(0, -1);
    await expect(parseManifest(signedText(`${body},"x":${list}`), URI)).rejects.toThrow(/it has too many values/);
    const [start = "", end = ""] = body.split('"labels":{');
    await expect(parseManifest(signedText(`${start}"labels":{"x":${list},${end}`), URI)).rejects.toThrow(invalid);
  });

  it("takes as many commas and brackets within texts as there may be", async () => {
    const value = plain();
    value.labels["remark"] = '[{,"\\'.repeat(manyValues);
    expect((await parseManifest(signed(value), URI)).labels.remark).toBe(value.labels["remark"]);
  });

  it.each<[string, (value: Plain) => unknown]>([
    ["states", (value) => Object.assign(value, { states: Array(50_000).fill(0) })],
    ["entries", (value) => Object.assign(value.states[0] ?? {}, { entries: Array(50_000).fill(0) })],
    ["tags", (value) => (value.labels["tags"] = Array(50_000).fill(0))],
    [
      "metrics",
      (
        value,
      ) => (value.labels["metrics"] = Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`m${i}`, "low"]))),
    ],
  ])("tells the first fault of many %s", async (_, change) => {
    const value = plain();
    change(value);
    const refusal = expect.objectContaining({ message: expect.stringMatching(/^[^]{20,200}$/) });
    await expect(parseManifest(signed(value), URI)).rejects.toThrow(refusal);
  });

  it("refuses text that is not UTF-8", async () => {
    const good = signed({ ...plain(), remark: "\u00e9" });
    const at = good.findIndex((byte, index) => byte === 0xc3 && good[index + 1] === 0xa9);
    const body = Uint8Array.from([...good.subarray(0, at), 0xe9, ...good.subarray(at + 2)]);
    const tail = `\n  "digest": "sha256:${"0".repeat(64)}"\n}\n`.length;
    const before = body.subarray(0, body.length - tail);
    const resigned = new TextEncoder().encode(`\n  "digest": "${digestOf(before)}"\n}\n`);
    await expect(parseManifest(Uint8Array.from([...before, ...resigned]), URI)).rejects.toThrow(invalid);
  });

  it("refuses a byte order mark, which JSON must not have", async () => {
    await expect(parseManifest(signedText(`\ufeff${JSON.stringify(plain()).slice(0, -1)}`), URI)).rejects.toThrow(
      invalid,
    );
  });

  it("reads any JSON without failing otherwise than typed", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.constantFrom("format", "name", "states", "totals", "x"), fc.jsonValue()),
        async (value) => {
          await expect(parseManifest(signed({ formatVersion: FORMAT_VERSION, ...value }), URI)).rejects.toThrow(
            invalid,
          );
        },
      ),
    );
  });
});

it("takes the type of digests from the format", () => {
  const typed: Digest = digestOf(new Uint8Array());
  expect(typed.startsWith("sha256:")).toBe(true);
});
