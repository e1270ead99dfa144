// What compresses extremely well is saved and read like anything else: no limit may refuse an archive of ours.
import { Buffer } from "node:buffer";
import { type LayoutKind, memoryBackend, StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { hasZstd } from "../fuzz/members.ts";

// Above what any archive may expand to: the first, of a single member; the second, of an archive that is read as a stream.
const SIZES = [3_000_000, 20_000_000];
const LINES = "the same line of text\n";
const LAYOUTS: readonly LayoutKind[] = ["directory", "tar.gz", "tar.zst"];

describe.each(LAYOUTS)("a snapshot as %s", (layout) => {
  const isAbsent = layout === "tar.zst" && !hasZstd;
  it.skipIf(isAbsent).each([["zeros", ""], ["repeated lines", LINES]])("reads back %s", async (_what, line) => {
    const contents = SIZES.map((sizeBytes) => Buffer.alloc(sizeBytes, line));
    const read: boolean[] = [];
    const newStore = () =>
      new StateStore(memoryBackend(), { layout }).register("a", {
        async saveState(out) {
          for (const [index, bytes] of contents.entries()) await out.write(`${index}`, bytes);
        },
        async loadState(from) {
          for (const [index, bytes] of contents.entries()) read.push(bytes.equals(await from.bytes(`${index}`)));
        },
      });
    const store = newStore();
    const snapshot = await store.saveState();
    await store.loadState(snapshot);
    await store.loadState(snapshot.stream());
    await newStore().loadState(await newStore().importSnapshot(store.streamState().body));
    expect(read).toEqual(Array.from({ length: 6 }, () => true));
    expect((await snapshot.verify()).findings).toEqual([]);
  });
});
