// Snapshots of format version 1 that were made when it was frozen, on each runtime: they are whole, hold what they held then,
// and can be read in part, permanently.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { locate, StateStore } from "snapkeep";
import { root } from "../../tools/run.mjs";
import { nativeZstd } from "../../src/compression/zstd_codec.ts";
import { sha256 } from "../archive/samples.ts";
import { LABELS, SAVED_AT, STATES } from "../fixtures/content.ts";

const FIXTURES = path.join(root, "test/fixtures/v1");
const NAMES: Record<string, readonly string[]> = {
  node: ["directory.state", "usual.state.tar.gz", "chunked.state.tar.gz", "plain.state.tar"],
  bun: ["directory.state", "usual.state.tar.gz", "chunked.state.tar.gz", "plain.state.tar", "usual.state.tar.zst"],
  deno: ["directory.state", "usual.state.tar.gz", "chunked.state.tar.gz", "plain.state.tar", "usual.state.tar.zst"],
};
const SAVED_NAME = "2028-02-29_23-59-59,987001.state";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "snapkeep-golden-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe.each(Object.entries(NAMES))("the snapshots that %s made", (runtime, names) => {
  it("are those that the tests know", async () => {
    expect((await readdir(path.join(FIXTURES, runtime))).sort()).toEqual([...names].sort());
  });

  for (const name of names) {
    describe.skipIf(name.endsWith(".zst") && nativeZstd === undefined)(name, () => {
      const at = path.join(FIXTURES, runtime, name);

      it("is whole", async () => {
        const report = await locate(at).verify();
        expect(report.findings.filter(({ path }) => path !== "")).toEqual([]);
      });

      it("says what it said", async () => {
        const { formatVersion, name: savedName, savedAt, labels, parent, states } = await locate(at).manifest();
        expect({ formatVersion, savedName, savedAt, labels, parent }).toEqual({
          formatVersion: 1,
          savedName: SAVED_NAME,
          savedAt: SAVED_AT.toISOString(),
          labels: LABELS,
          parent: "2028-02-29_23-59-59,987000.state",
        });
        expect(states.map(({ name, version, entries }) => [name, version, entries.map(({ path }) => path)])).toEqual(
          STATES.map(({ name, version, entries }) => [name, version, entries.map(([path]) => path)]),
        );
      });

      it("loads what was saved", async () => {
        const loaded = new Map<string, string>();
        const store = new StateStore(folder);
        for (const { name, version } of STATES) {
          store.register(name, {
            saveState() {},
            async loadState(from) {
              for (const { path } of from.entries) loaded.set(`${name}/${path}`, sha256(await from.bytes(path)));
            },
          }, { version });
        }
        await store.loadState(at);
        expect(loaded).toEqual(
          new Map(
            STATES.flatMap(({ name, entries }) =>
              entries.map(([path, bytes]): [string, string] => [`${name}/${path}`, sha256(bytes)])
            ),
          ),
        );
      });

      it("gives one entry, and part of one", async () => {
        const reader = await locate(at).open();
        try {
          expect(await reader.json("Welt état/many/123.json")).toMatchObject({ index: 123, square: 123 * 123 });
          const weights = STATES[0]?.entries[0]?.[1].slice(99_990, 140_000);
          expect(await reader.range("model/weights.bin", 99_990, 40_010)).toEqual(weights);
        } finally {
          await reader.close();
        }
      });
    });
  }
});
