// Each known attack by zstd is refused with its reason, and its benign twin is read. Where the runtime has no zstd, all are
// refused as something that it cannot read.
import { describe, expect, it } from "vitest";
import { hasZstd } from "../fuzz/members.ts";
import { verdictOf, verdictsInPlace } from "./verdicts.ts";
import { ZSTD_ATTACKS } from "./zstd_attacks.ts";

const PIECES = [7, 511, 65_536];

describe.skipIf(!hasZstd)("an attack by zstd is refused", () => {
  it.each(ZSTD_ATTACKS)("$name: $reason", async ({ make, reason, benign }) => {
    const hostile = make();
    const expected = { code: "ARCHIVE_REJECTED", reason, offset: expect.any(Number) as number };
    for (const pieceBytes of hostile.length < 10_000 ? PIECES : [65_536]) {
      expect(await verdictOf(hostile, pieceBytes), `in pieces of ${pieceBytes} bytes`).toEqual(expected);
    }
    expect(await verdictsInPlace(hostile)).toEqual(expected);
    expect(await verdictOf(benign())).toEqual({ code: "accepted" });
    expect(await verdictsInPlace(benign())).toEqual({ code: "accepted" });
  });
});

describe.skipIf(hasZstd)("without zstd", () => {
  it("an archive of it is refused as what cannot be read here", async () => {
    const code = { code: "COMPRESSION_UNAVAILABLE" };
    expect(await verdictOf(ZSTD_ATTACKS[0]?.benign() ?? new Uint8Array())).toEqual(code);
  });
});
