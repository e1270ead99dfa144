// Verdicts are the same on every runtime, and however the bytes come in pieces. The list is committed: what is refused today,
// and why, does not change unseen. `npm run prove -- attacks --runtime node -u` writes it anew where a change is meant.
import { readFile } from "node:fs/promises";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { root } from "../../tools/run.mjs";
import { readInSequence } from "../fuzz/oracle.ts";
import { Random } from "../fuzz/random.ts";
import { TARGETS } from "../fuzz/targets.ts";
import { amount, isLong, runtime } from "../torture/budget.ts";
import { ATTACKS, HARMLESS } from "./attacks.ts";

const SMALL_BYTES = 30_000;
const SIZES = [1, 7, 511, 512, 513, 65_536];
const SEEDS = amount("attacks", "seeds");
const COMMITTED = path.join(root, "test/archive/verdicts.txt");
const PIECES_OF_EACH = amount("attacks", "pieces");

// In the short form each runtime cuts another third of the archives.
const EVERY = isLong ? 1 : 3;
const TURN = isLong ? 0 : ["node", "bun", "deno"].indexOf(runtime);

/** All archives by name, bare and compressed; bombs are left to the tests of attacks. */
const archives = [...ATTACKS, ...HARMLESS.map(({ name, make }) => ({ name, make, form: "tar" as const }))].flatMap(
  ({ name, make, form }) => {
    const bytes = make();
    if (bytes.length > SMALL_BYTES || name.startsWith("many empty files")) return []; // of another size in each form
    const itself = { name, bytes };
    return form === "tar" ? [itself, { name: `${name}, compressed`, bytes: gzipSync(bytes) }] : [itself];
  },
);

describe("a verdict does not depend on", () => {
  it("how the bytes come in pieces", async () => {
    const random = new Random(3);
    const differing: string[] = [];
    for (const [index, { name, bytes }] of archives.entries()) {
      if (index % EVERY !== TURN) continue;
      const wanted = await readInSequence(bytes, [bytes.length]);
      // A byte at a time takes longest, so not for all that differ in nothing but a name.
      const sizes = index % 8 === 0 ? SIZES : SIZES.slice(1);
      const first = PIECES_OF_EACH < SIZES.length ? index % sizes.length : 0;
      const some = [...sizes.slice(first), ...sizes.slice(0, first)].slice(0, PIECES_OF_EACH);
      const uneven = Array.from({ length: 20 }, () => 1 + random.below(900));
      const cuts = some.map((size) => [size]);
      if (PIECES_OF_EACH === SIZES.length || index % SIZES.length === 0) cuts.push(uneven);
      for (const pieces of cuts) {
        const verdict = await readInSequence(bytes, pieces);
        if (verdict !== wanted) {
          differing.push(`${name}, in pieces of ${pieces}: ${verdict} and not ${wanted}`);
        }
      }
    }
    expect(differing).toEqual([]);
  });

  it("the runtime", async () => {
    const lines: string[] = [];
    for (const { name, bytes } of archives) lines.push(`${name}: ${await readInSequence(bytes, [65_536])}`);
    for (const [name, target] of Object.entries(TARGETS)) {
      for (let seed = 1; seed <= SEEDS; seed++) {
        const { verdict, isPortable } = await target(seed);
        if (isPortable) lines.push(`${name} ${seed}: ${verdict}`);
      }
    }
    if (isLong) return await expect(`${lines.join("\n")}\n`).toMatchFileSnapshot(COMMITTED);
    const committed = new Set((await readFile(COMMITTED, "utf8")).split("\n"));
    expect(lines.filter((line) => !committed.has(line))).toEqual([]);
  });
});
