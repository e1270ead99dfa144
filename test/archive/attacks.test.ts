// Each known attack is refused with its reason, whatever the way the archive comes in and in whatever pieces, and its
// benign twin is read; nothing is published, nothing is loaded, nothing stays open.
import { gzipSync } from "node:zlib";
import { StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { amount } from "../torture/budget.ts";
import { type Attack, ATTACKS, BASE, HARMLESS } from "./attacks.ts";
import { assembled } from "./rewrite.ts";
import { contentOf, digests, streamOf, type Tree, TreeState } from "./samples.ts";
import { manifestOf, sealed } from "./tar_maker.ts";
import { tell, verdictOf, verdictsInPlace } from "./verdicts.ts";
import { watchedBackend } from "./watched_backend.ts";

const PIECES = [1, 7, 511, 512, 513, 65_536];

const PIECES_OF_EACH = amount("attacks", "pieces");

/** Unsafe names differ in nothing but the name, which is looked at when it is whole: one of them meets every size. */
function piecesFor(name: string): number[] {
  if (PIECES_OF_EACH < PIECES.length) return turnsOf(name).slice(0, PIECES_OF_EACH);
  return /^a path that (?!goes up,)/.test(name) ? [7, 65_536] : PIECES;
}

/** All sizes, beginning with another one for each archive. */
function turnsOf(name: string): number[] {
  const first = ATTACKS.findIndex((attack) => attack.name === name) % PIECES.length;
  return [...PIECES.slice(first), ...PIECES.slice(0, first)];
}

/** What loads out of an archive. */
async function contentsOf(bytes: Uint8Array): Promise<Tree> {
  const state = new TreeState({});
  const report = await new StateStore(watchedBackend()).register("a", state).loadState(streamOf(bytes));
  expect(report.name).toBe("made.state");
  return state.loaded;
}

/** The files that a tar or file may be: itself, and, where it is a bare tar, also compressed. */
const filesOf = (form: Attack["form"], bytes: Uint8Array) => form === "tar" ? [bytes, gzipSync(bytes)] : [bytes];

describe("an attack is refused", () => {
  it("by a name of its own", () => {
    const names = ATTACKS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThan(250);
  });

  it.each(ATTACKS)("$name: $reason", async ({ name, form, make, reason, benign }) => {
    const isReason = ["MANIFEST_MISSING", "MANIFEST_INVALID", "FORMAT_UNSUPPORTED", "SNAPSHOT_CORRUPT"].includes(
      reason,
    );
    const expected = isReason
      ? { code: reason }
      : { code: "ARCHIVE_REJECTED", reason, offset: expect.any(Number) as number };
    const hostile = make();
    // A large one comes in one form only where pieces are few.
    for (const bytes of filesOf(form, hostile).slice(0, hostile.length > 100_000 ? PIECES_OF_EACH : 2)) {
      const verdict = await verdictOf(bytes);
      expect(verdict).toEqual(expected);
      if (form === "tar") expect(verdict.offset ?? 0).toBeLessThanOrEqual(hostile.length);
      expect(await verdictsInPlace(bytes)).toEqual(verdict);
    }
    if (form === "tar") {
      const verdict = await verdictOf(hostile);
      for (const pieceBytes of piecesFor(name)) {
        expect(await verdictOf(hostile, pieceBytes), `in pieces of ${pieceBytes} bytes`).toEqual(verdict);
      }
    }
    // The twin is read bare where pieces are few, and also compressed where they are many.
    for (const bytes of filesOf(form, benign()).slice(0, PIECES_OF_EACH)) {
      expect(await verdictOf(bytes)).toEqual({ code: "accepted" });
      expect(await verdictsInPlace(bytes)).toEqual({ code: "accepted" });
      expect(digests(await contentsOf(bytes))).toMatchObject(digests(BASE));
    }
  });
});

describe("a manifest that breaks its own rules, as is found only after the archive was opened", () => {
  it("is refused by every way to load it, and leaves nothing open", async () => {
    const json = new TextDecoder().decode(manifestOf(BASE));
    const body = json.slice(0, json.lastIndexOf('\n  "digest"')).replace('"sizeBytes":703}', '"sizeBytes":704}');
    const bytes = assembled(Object.entries(BASE).map(([path, content]) => ({ path, content })), sealed(body));
    expect(await verdictOf(bytes)).toEqual({ code: "MANIFEST_INVALID" });
    expect(await verdictsInPlace(bytes)).toEqual({ code: "MANIFEST_INVALID" });
    const backend = watchedBackend();
    const store = new StateStore(backend).register("a", new TreeState({}));
    expect(await tell(store.loadState(streamOf(bytes)))).toEqual({ code: "MANIFEST_INVALID" });
    expect([...backend.unreturned]).toEqual([]);
  });
});

describe("what is odd but honest is read", () => {
  it.each(HARMLESS)("$name", async ({ make, more }) => {
    const bytes = make();
    expect(await verdictOf(bytes)).toEqual({ code: "accepted" });
    expect(digests(await contentsOf(bytes))).toEqual(digests({ ...BASE, ...more }));
    for (const pieceBytes of bytes.length > 100_000 ? [65_536] : PIECES.slice(-PIECES_OF_EACH)) {
      expect(await verdictOf(bytes, pieceBytes), `in pieces of ${pieceBytes} bytes`).toEqual({ code: "accepted" });
    }
  });
});

describe("what is read of an honest archive", () => {
  it("does not touch the prototype of anything", async () => {
    const odd = HARMLESS.find(({ name }) => name.startsWith("files called like members"));
    await contentsOf(odd?.make() ?? new Uint8Array());
    expect(Object.keys(Object.prototype)).toEqual([]);
    expect(({} as Record<string, unknown>)["constructor"]).toBe(Object);
  });

  it("is exactly what the manifest lists", async () => {
    const [attack] = ATTACKS;
    const loaded = await contentsOf((attack as Attack).benign());
    expect(Object.keys(loaded).sort()).toEqual(["extra", ...Object.keys(BASE)].sort());
    expect(loaded["extra"]).toEqual(contentOf("extra"));
  });
});
