// Entries of 64 KiB and more are members of their own: equal entries are equal bytes in every archive, so that tools that store
// each chunk once keep them once.
import { createHash } from "node:crypto";
import { memoryBackend, StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { checkEstargz } from "../archive/estargz_checker.ts";
import { bytesOf } from "../archive/samples.ts";

const random = (sizeBytes: number, seed: number) =>
  Uint8Array.from({ length: sizeBytes }, (_, index) => Math.imul(index ^ seed, 2_654_435_761) >>> 24);

/** The compressed members of an archive, by digest. */
function membersOf(archive: Uint8Array, offsets: readonly number[]): Set<string> {
  const starts = [...new Set([0, ...offsets])].sort((a, b) => a - b);
  const members = starts.map((start, index) => archive.subarray(start, starts[index + 1]));
  return new Set(members.map((member) => createHash("sha256").update(member).digest("hex")));
}

/** Where gzip members with a plain header begin. */
function startsOf(archive: Uint8Array): number[] {
  const starts: number[] = [];
  for (let at = archive.indexOf(0x1f); at !== -1; at = archive.indexOf(0x1f, at + 1)) {
    if (archive[at + 1] === 0x8b && archive[at + 2] === 8 && archive[at + 3] === 0) starts.push(at);
  }
  return starts;
}

describe("archives of two saves", () => {
  it("have equal members for the equal entries of 64 KiB and more", async () => {
    let step = 0;
    const bodies = [random(64 * 1024, 1), random(300_000, 2), random(3_000_000, 3)];
    const store = new StateStore(memoryBackend(), { layout: "tar.gz", now: () => 1e12 + step * 60_000 }).register("a", {
      saveState(out) {
        for (const [index, body] of bodies.entries()) {
          void out.write(`small-${index}`, `changes with each step: ${step}`);
          void out.write(`large-${index}`, body);
        }
      },
      loadState() {},
    });
    const archives: Uint8Array[] = [];
    for (step = 1; step <= 2; step++) {
      const snapshot = await store.saveState();
      archives.push(await bytesOf(snapshot.stream()));
      expect((await snapshot.verify()).isWhole).toBe(true);
    }
    const [first, second] = archives as [Uint8Array, Uint8Array];
    checkEstargz(first);
    const before = membersOf(first, startsOf(first));
    const shared = [...membersOf(second, startsOf(second))].filter((member) => before.has(member));
    expect(shared.length).toBeGreaterThanOrEqual(4); // one, one and two chunks
  });
});
