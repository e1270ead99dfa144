// Every prefix and every single bit of a snapshot, in each compression and as a folder: refused, or the very same content.
// Archives are read both by their table and in sequence, as the fuzzers do; damage.test.ts looks at loads and what they hold.
import { gzipSync } from "node:zlib";
import { isSnapshotError, locate, memoryBackend, StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { hasZstd } from "../fuzz/members.ts";
import { judge } from "../fuzz/oracle.ts";
import { Random } from "../fuzz/random.ts";
import { amount, report, runtime } from "../torture/budget.ts";
import { FOOTER_BYTES } from "./footer.ts";
import { bytesOf, digests, INSTANT_MS, noise, sha256, storeOf, TreeState } from "./samples.ts";
import { concatenated, END, file, manifestOf } from "./tar_maker.ts";

const TREE = { "one.txt": "one", "empty": "", "bytes.bin": noise(40, 3) };
const plainTar = concatenated(
  ...Object.entries(TREE).map(([path, content]) => file(`a/${path}`, content)),
  file("manifest.json", manifestOf(TREE)),
  END,
);

// Loads meet each bit of gzip in damage.test.ts; here every so many, and more of zstd where it is fast.
const STRIDE = amount("bits", "stride");
const ZSTD_STRIDE = runtime === "bun" ? Math.ceil(STRIDE / 11) : STRIDE;
const PREFIX_STRIDE = amount("bits", "prefix");
const LOAD_STRIDE = amount("bits", "load");

const archives: Readonly<Record<string, () => Promise<Uint8Array>>> = {
  "gzip of ours": () => bytesOf(storeOf({ a: TREE }).streamState().body),
  "zstd of ours": () => bytesOf(storeOf({ a: TREE }).streamState({ layout: "tar.zst" }).body),
  "a tar of ours": () => bytesOf(storeOf({ a: TREE }).streamState({ layout: "tar" }).body),
  "gzip of other tools": () => Promise.resolve(gzipSync(plainTar)),
};

/** What a file may lose and still be whole: what is no part of its tar. */
function mayLose(name: string, bytes: Uint8Array): number {
  if (name === "gzip of ours") return FOOTER_BYTES;
  return name === "zstd of ours" ? bytes.length : 0; // skippable frames are skipped, whole or absent
}

describe.each(Object.entries(archives))("%s", (name, make) => {
  const isSkipped = name === "zstd of ours" && !hasZstd;

  it.skipIf(isSkipped)("is refused whatever is missing at its end, and by whatever reader", async () => {
    const bytes = await make();
    const random = new Random(1);
    let wholes = 0;
    for (let length = 0; length < bytes.length; length += PREFIX_STRIDE * (bytes.length > 5000 ? 7 : 1)) {
      const verdict = await judge(bytes.subarray(0, length), random);
      if (verdict !== "whole") continue;
      expect(length, `${length} of ${bytes.length} bytes`).toBeGreaterThanOrEqual(bytes.length - mayLose(name, bytes));
      wholes++;
    }
    expect(wholes).toBeLessThan(4);
  });

  it.skipIf(isSkipped)("is refused or the same whatever bit is another, and by whatever reader", async () => {
    const since = performance.now();
    const bytes = await make();
    const random = new Random(2);
    const bits = bytes.length * 8;
    const padded = STRIDE === 1 ? 1 : STRIDE * 7; // tars are mostly padding
    const stride = name.startsWith("zstd") ? ZSTD_STRIDE : name.includes("tar") ? padded : STRIDE;
    let [count, wholes] = [0, 0];
    for (let bit = 0; bit < bits; bit += stride, count++) {
      const damaged = bytes.slice();
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ 1 << (bit & 7);
      // The judge compares all that is read with the manifest, and the readers with each other.
      if (await judge(damaged, random) === "whole") wholes++;
    }
    report(`every bit of ${name}`, since, `${count} of ${bits} bits`);
    // Times and systems in gzip headers and footers that are none then; of a tar, owners and times need a checksum as well.
    expect(wholes / count).toBeLessThan(0.2);
  });
});

describe("a folder", () => {
  const WANTED = JSON.stringify(digests(TREE));
  const blobs = new Map<string, string | Uint8Array>([
    ...Object.entries(TREE).map(([path, content]) => [`a/${path}`, content] as [string, string | Uint8Array]),
    ["manifest.json", manifestOf(TREE)],
  ]);

  /** Loads and verifies a folder in which one file is another; tells whether either found nothing wrong. */
  async function outcomeOf(path: string, bytes: Uint8Array | string | undefined): Promise<string> {
    const backend = memoryBackend();
    const unit = "x.state/";
    const stage = await backend.stage(unit);
    for (const [name, content] of blobs) {
      const other = name === path ? bytes : content;
      if (other === undefined) continue;
      const body = [typeof other === "string" ? new TextEncoder().encode(other) : other];
      if (name === "manifest.json") await stage.publish(name, body);
      else await stage.write(name, body);
    }
    const state = new TreeState({});
    const { isWhole } = await locate(backend, unit).verify();
    try {
      await new StateStore(backend, { now: () => INSTANT_MS }).register("a", state).loadState(locate(backend, unit));
    } catch (error) {
      if (!isSnapshotError(error)) throw error;
      expect(state.loads).toBe(0);
      expect(isWhole).toBe(false);
      return error.code;
    }
    expect(isWhole).toBe(true);
    return JSON.stringify(digests(state.loaded)) === WANTED ? "the same" : "another";
  }

  it("loads as it is", async () => {
    expect(await outcomeOf("", undefined)).toBe("the same");
  });

  it.each([...blobs])("is refused whatever is missing at the end of %s", async (path, content) => {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    for (let length = 0; length < bytes.length; length += LOAD_STRIDE) {
      const outcome = await outcomeOf(path, bytes.subarray(0, length));
      expect(outcome, `${length} bytes of ${path}`).toBe(
        path === "manifest.json" ? "MANIFEST_INVALID" : "SNAPSHOT_CORRUPT",
      );
    }
    const longer = await outcomeOf(path, concatenated(content, "\0"));
    expect(longer).toBe(path === "manifest.json" ? "MANIFEST_INVALID" : "SNAPSHOT_CORRUPT");
    if (path !== "manifest.json") expect(await outcomeOf(path, undefined)).toBe("SNAPSHOT_CORRUPT");
  });

  it.each([...blobs])("is refused whatever bit of %s is another", async (path, content) => {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    for (let bit = 0; bit < bytes.length * 8; bit += LOAD_STRIDE) {
      const damaged = bytes.slice();
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ 1 << (bit & 7);
      expect(sha256(damaged)).not.toBe(sha256(bytes));
      const outcome = await outcomeOf(path, damaged);
      expect(outcome, `bit ${bit} of ${path}`).toBe(path === "manifest.json" ? "MANIFEST_INVALID" : "SNAPSHOT_CORRUPT");
    }
  });
});
