// Every way to cut a small archive, and every bit of it turned over: refused, or the very content. Never another content,
// never a hang, never an error that is not one of ours.
import { Buffer } from "node:buffer";
import process from "node:process";
import { gunzipSync, gzipSync } from "node:zlib";
import { isSnapshotError, locate, StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { mapBounded } from "../../src/runtime/concurrency.ts";
import { amount, isLong } from "../torture/budget.ts";
import { archiveOf, bytesOf, digests, noise, place, sha256, storeOf, streamOf, TreeState, within } from "./samples.ts";
import { concatenated, END, file, manifestOf } from "./tar_maker.ts";
import { watchedBackend } from "./watched_backend.ts";

const TREE = { "one.txt": "one", "empty": "", "bytes.bin": noise(40, 3) };
const WANTED = JSON.stringify(digests(TREE));
const DAMAGE = new Set([
  "ARCHIVE_REJECTED",
  "MANIFEST_MISSING",
  "MANIFEST_INVALID",
  "FORMAT_UNSUPPORTED",
  "SNAPSHOT_CORRUPT",
]);

const plainTar = () =>
  concatenated(
    ...Object.entries(TREE).map(([path, content]) => file(`a/${path}`, content)),
    file("manifest.json", manifestOf(TREE)),
    END,
  );

/** The archives that are damaged: ours with its table, one of other tools without, and both without compression. */
const archives: Record<string, () => Promise<Uint8Array>> = {
  "an archive of ours": async () => (await archiveOf({ a: TREE })).bytes,
  "an archive of other tools": () => Promise.resolve(gzipSync(plainTar())),
  "a tar of ours": () => bytesOf(storeOf({ a: TREE }).streamState({ layout: "tar" }).body),
};

const AT_ONCE = 8;

// Every so many bits or bytes; all in the long form, but of a tar, which is mostly padding.
const STRIDE = amount("bits", "load");
const strideOf = (bytes: Uint8Array, ofPadding: number) => STRIDE * (isMostlyPadding(bytes) ? ofPadding : 1);

/** What became of an archive: refused with a code, or loaded with some content. */
async function loadedFromStream(bytes: Uint8Array): Promise<{ refused?: string; loaded?: string }> {
  const backend = watchedBackend();
  const state = new TreeState({});
  const store = new StateStore(backend).register("a", state);
  try {
    await within(10, "Reading it", store.loadState(streamOf(bytes)));
  } catch (error) {
    if (!isSnapshotError(error)) throw error;
    if (state.loads > 0) throw new Error(`${error.code} after the state was loaded`, { cause: error });
    if (backend.unreturned.size > 0) throw new Error(`left open: ${[...backend.unreturned].join(", ")}`);
    return { refused: error.code };
  }
  if (backend.unreturned.size > 0) throw new Error(`left open: ${[...backend.unreturned].join(", ")}`);
  return { loaded: JSON.stringify(digests(state.loaded)) };
}

describe.each(Object.entries(archives))("%s", (name, make) => {
  it("loads as it is", async () => {
    expect(await loadedFromStream(await make())).toMatchObject({ loaded: WANTED });
  });

  it("is refused if any number of bytes is missing at its end", async () => {
    const bytes = await make();
    const allowed = acceptedPrefixes(name, bytes);
    const lengths = Array.from({ length: bytes.length }, (_, length) => length)
      .filter((length) => length % STRIDE === 0 || allowed.includes(length));
    const outcomes = await mapBounded(lengths, (length) => loadedFromStream(bytes.subarray(0, length)), AT_ONCE);
    const accepted = lengths.filter((_, index) => !DAMAGE.has(outcomes[index]?.refused ?? "accepted"));
    expect(accepted).toEqual(allowed);
  }, 60_000);

  it("is refused if any number of bytes is missing at its beginning", async () => {
    const bytes = await make();
    const step = strideOf(bytes, 7);
    const starts = Array.from({ length: Math.ceil(bytes.length / step) - 1 }, (_, index) => (index + 1) * step);
    const outcomes = await mapBounded(starts, (start) => loadedFromStream(bytes.subarray(start)), AT_ONCE);
    expect(starts.filter((_, index) => !DAMAGE.has(outcomes[index]?.refused ?? "accepted"))).toEqual([]);
  }, 60_000);

  it("is refused or has its very content, whatever bit is another", async () => {
    const bytes = await make();
    // With 9, every byte of a tar is met, though not each of its bits.
    const step = strideOf(bytes, 9);
    const bits = Array.from({ length: Math.floor(bytes.length * 8 / step) }, (_, index) => index * step);
    const outcomes = await mapBounded(bits, async (bit) => {
      const damaged = Uint8Array.from(bytes);
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
      return await loadedFromStream(damaged);
    }, AT_ONCE);
    const other = bits.filter((_, index) => {
      const { refused, loaded } = outcomes[index] ?? {};
      return refused === undefined ? loaded !== WANTED : !DAMAGE.has(refused);
    });
    expect(other).toEqual([]);
    // Most of the bits count; the others are times and systems in gzip headers, the footer, and headers that the table
    // makes it needless to read. Verification reads those too, see below.
    expect(outcomes.filter(({ refused }) => refused === undefined).length / bits.length).toBeLessThan(0.15);
  }, 120_000);
});

/** A tar that is not compressed. */
function isMostlyPadding(bytes: Uint8Array): boolean {
  return bytes[0] !== 0x1f;
}

/** A file may lose its footer, and any of what follows the tar that is no part of it, and still be an archive. */
function acceptedPrefixes(name: string, bytes: Uint8Array): number[] {
  return name === "an archive of ours" ? [bytes.length - 51] : [];
}

describe("an archive in a store", () => {
  it("is found damaged by verify wherever a byte is another, unless its tar is the same", async () => {
    const { bytes } = await archiveOf({ a: TREE });
    const tar = sha256(gunzipSync(bytes));
    let wholes = 0;
    for (let byte = 0; byte < bytes.length - 51; byte += STRIDE) {
      const damaged = Uint8Array.from(bytes);
      damaged[byte] = (damaged[byte] as number) ^ 0x10;
      const backend = watchedBackend();
      await place(backend, "x.state.tar.gz", damaged);
      const { isWhole, findings } = await locate(backend, "x.state.tar.gz").verify();
      expect(isWhole).toBe(findings.length === 0);
      if (isWhole) {
        // Times and systems in gzip headers, and other ways to say the same in deflate: the tar is the very same.
        wholes++;
        expect(sha256(gunzipSync(damaged)), `byte ${byte}`).toBe(tar);
      }
      expect([...backend.unreturned]).toEqual([]);
    }
    expect(wholes).toBeLessThan(bytes.length / STRIDE / 20);
  });

  it("is reported by verify with each damaged entry, and the number of others", async () => {
    const tree = Object.fromEntries(
      ["one", "two", "three", "four"].map((name, seed) => [name, noise(200_000, seed + 1)]),
    );
    const { bytes } = await archiveOf({ a: tree }, { archive: { level: 0, groupBytes: 0 } });
    for (const name of ["two", "four"]) {
      const at = Buffer.from(bytes.buffer).indexOf(tree[name]?.subarray(0, 1000) as Uint8Array);
      bytes[at + 10_000] = (bytes[at + 10_000] as number) ^ 1;
    }
    const backend = watchedBackend();
    await place(backend, "x.state.tar.gz", bytes);
    const report = await locate(backend, "x.state.tar.gz").verify();
    expect(report).toMatchObject({ isWhole: false, entries: 2, sizeBytes: 400_000 });
    expect(report.findings.map(({ step, problem, path }) => `${step} ${problem} ${path}`)).toEqual([
      "inventory damaged ",
      "content damaged a/two",
      "content damaged a/four",
    ]);
  });

  it("is not taken for another by a name that says another compression", async () => {
    const { bytes } = await archiveOf({ a: TREE });
    const backend = watchedBackend();
    await place(backend, "x.state.tar.zst", bytes);
    const state = new TreeState({});
    const outcome = new StateStore(backend).register("a", state).loadState(locate(backend, "x.state.tar.zst"));
    // Read for what it is, or refused; what it must not do is fail in another way.
    await outcome.catch((error) => expect(isSnapshotError(error, "ARCHIVE_REJECTED")).toBe(true));
    if (state.loads > 0) expect(JSON.stringify(digests(state.loaded))).toBe(WANTED);
  });
});

describe("an archive of megabytes", () => {
  const tree = { "one.bin": noise(3_000_000), "two.bin": noise(3_000_000, 2) };
  const tar = concatenated(
    ...Object.entries(tree).map(([path, content]) => file(`a/${path}`, content)),
    file("manifest.json", manifestOf(tree)),
    END,
  );
  const places = isLong ? [0.001, 0.2, 0.4, 0.6, 0.8, 0.999] : [0.001, 0.6];
  const forms: Record<string, () => Promise<Uint8Array>> = {
    "of ours": async () => (await archiveOf({ a: tree })).bytes,
    "of other tools": () => Promise.resolve(gzipSync(tar)),
    "of other tools in many members": () => {
      const members: Uint8Array[] = [];
      for (let start = 0; start < tar.length; start += 100_000) {
        members.push(gzipSync(tar.subarray(start, start + 100_000)));
      }
      return Promise.resolve(concatenated(...members));
    },
    "that is no gzip after its beginning": () =>
      Promise.resolve(concatenated(gzipSync(tar).subarray(0, 1_000_000), tar)),
  };

  it.each(Object.entries(forms))(
    "%s is refused with an error of ours wherever it is damaged or cut",
    async (_, make) => {
      const bytes = await make();
      for (const place of places) {
        const at = Math.floor(bytes.length * place);
        const damaged = Uint8Array.from(bytes);
        damaged.fill(0x55, at, at + 64);
        expect(DAMAGE, `damaged at ${at}`).toContain((await loadedFromStream(damaged)).refused);
        expect(DAMAGE, `cut at ${at}`).toContain((await loadedFromStream(bytes.subarray(0, at))).refused);
      }
    },
  );

  it("leaves no warning of listeners that were never taken off", async () => {
    const warnings: string[] = [];
    const note = (warning: Error) => void warnings.push(warning.message);
    process.on("warning", note);
    expect(await loadedFromStream(gzipSync(tar))).toHaveProperty("loaded");
    await new Promise((resolve) => setTimeout(resolve, 20)); // warnings come a little later
    process.off("warning", note);
    expect(warnings).toEqual([]);
  });
});

describe("a state stream that was cut", () => {
  it("can never be imported, wherever it was cut", async () => {
    const tree = { "one.bin": noise(3000), "two.bin": noise(3000, 2) };
    const bytes = await bytesOf(storeOf({ a: tree }).streamState().body);
    const store = new StateStore(watchedBackend());
    for (let length = 0; length < bytes.length - 51; length += 13 * STRIDE) {
      const cut = store.importSnapshot(streamOf(bytes.subarray(0, length)));
      await expect(cut, `cut at ${length}`).rejects.toSatisfy((error) => isSnapshotError(error));
    }
    expect(await store.list()).toEqual([]);
  });
});
