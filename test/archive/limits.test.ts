// Limits are counted while a tar is read, and hold to the byte. The usual ones are too large to meet, so these are small.
import { describe, expect, it } from "vitest";
import { decodeTar } from "../../src/archive/tar_decoder.ts";
import { type ArchiveLimits, DEFAULT_LIMITS } from "../../src/archive/tar_guard.ts";
import { concatenated, END, extended, file, record } from "./tar_maker.ts";

/** What becomes of a tar that is read in one go. */
async function verdictOf(limits: Partial<ArchiveLimits>, ...parts: readonly (Uint8Array | string)[]): Promise<string> {
  const source = (async function* () {
    yield concatenated(...parts);
  })();
  const paths: string[] = [];
  try {
    for await (const { path, body } of decodeTar(source, "the tar", { ...DEFAULT_LIMITS, ...limits })) {
      for await (const _chunk of body);
      paths.push(path);
    }
    return paths.join();
  } catch (error) {
    const { details } = error as { details?: { reason: string } };
    if (details === undefined) throw error;
    return details.reason;
  }
}

describe("a tar may have", () => {
  const three = [file("a", "12345"), file("b", "67890"), file("c", "")];

  it("so many files and folders, and no more", async () => {
    expect(await verdictOf({ entries: 3 }, ...three, END)).toBe("a,b,c");
    expect(await verdictOf({ entries: 2 }, ...three, END)).toBe("LIMIT_ENTRIES");
    const folder = file("d/", "", { type: "5" });
    expect(await verdictOf({ entries: 3 }, ...three, folder, END)).toBe("LIMIT_ENTRIES");
  });

  it("so many bytes in its files, and no more", async () => {
    expect(await verdictOf({ totalBytes: 10 }, ...three, END)).toBe("a,b,c");
    expect(await verdictOf({ totalBytes: 9 }, ...three, END)).toBe("LIMIT_BYTES");
  });

  it("so many bytes of headers before a file, and no more", async () => {
    const long = record("comment", "x".repeat(500));
    const headerBytes = 512 + long.length;
    expect(await verdictOf({ headerBytes }, extended(long), file("a", "1"), END)).toBe("a");
    expect(await verdictOf({ headerBytes: headerBytes - 1 }, extended(long), file("a", "1"), END)).toBe("LIMIT_HEADER");
  });

  it("so many zeros behind its end, and no more", async () => {
    expect(await verdictOf({ trailingZeroBytes: 1024 }, ...three, END, new Uint8Array(1024))).toBe("a,b,c");
    expect(await verdictOf({ trailingZeroBytes: 1024 }, ...three, END, new Uint8Array(1536))).toBe("LIMIT_BYTES");
  });
});
