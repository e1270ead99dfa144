// Hostile zstd, made frame by frame; each with its benign twin. The frames are stored, so that no compressor is needed.
import { hasZstd, member, skippable } from "../fuzz/members.ts";
import { concatenated, END, file, manifestOf } from "./tar_maker.ts";
import { BASE } from "./attacks.ts";
import type { RejectionReason } from "snapkeep";

/** One attack. */
export interface ZstdAttack {
  readonly name: string;
  /** One of these: runtimes tell some kinds of damage apart, others do not. */
  readonly reason: RejectionReason;
  make(): Uint8Array;
  benign(): Uint8Array;
}

const tar = () =>
  concatenated(
    ...Object.entries(BASE).map(([path, content]) => file(`a/${path}`, content)),
    file("manifest.json", manifestOf(BASE)),
    END,
  );
const packed = () => member("zstd", tar(), true);
/** With a checksum, where the runtime can make one. */
const checked = () => member("zstd", tar(), !hasZstd);
const parts = () => {
  const bytes = tar();
  return [bytes.subarray(0, 700), bytes.subarray(700)].map((part) => member("zstd", part, true));
};

const CONTENT_AT = 9; // magic, descriptor, four bytes of content size

function changed(at: number, value: (byte: number) => number, bytes = packed()): Uint8Array {
  const copy = bytes.slice();
  const index = at < 0 ? copy.length + at : at;
  copy[index] = value(copy[index] as number);
  return copy;
}

function attack(
  name: string,
  reason: RejectionReason,
  make: () => Uint8Array,
  benign: () => Uint8Array = packed,
): ZstdAttack {
  return { name, reason, make, benign };
}

const emptyFrames = (count: number) => {
  const empty = member("zstd", new Uint8Array(), true);
  return concatenated(...Array.from({ length: count }, () => empty), packed());
};

/** All attacks. */
export const ZSTD_ATTACKS: readonly ZstdAttack[] = [
  attack("a reserved bit", "COMPRESSION_DAMAGED", () => changed(4, (byte) => byte | 8)),
  attack("a block of a reserved type", "COMPRESSION_DAMAGED", () => changed(CONTENT_AT, (byte) => byte | 6)),
  attack("a wrong checksum", "COMPRESSION_DAMAGED", () => changed(-1, (byte) => byte ^ 1, checked()), checked),
  attack("an unknown dictionary", "COMPRESSION_DAMAGED", () => {
    const bytes = packed();
    return concatenated(bytes.subarray(0, 4), Uint8Array.of(0xa1, 7), bytes.subarray(5));
  }),
  attack("a window of 2 TiB", "COMPRESSION_DAMAGED", () => {
    const bytes = packed();
    return concatenated(bytes.subarray(0, 4), Uint8Array.of(0x80, 0xf8), bytes.subarray(5));
  }),
  attack("a content size that is one too large", "COMPRESSION_DAMAGED", () => changed(5, (byte) => byte + 1)),
  attack("a content size that is one too small", "COMPRESSION_DAMAGED", () => changed(5, (byte) => byte - 1)),
  attack("a content size of 4 GiB", "COMPRESSION_DAMAGED", () => changed(8, () => 255)),
  attack("a cut in the header", "TRUNCATED", () => packed().subarray(0, 7)),
  attack("a cut in the magic", "COMPRESSION_UNKNOWN", () => packed().subarray(0, 3)),
  attack("a cut in a block", "TRUNCATED", () => packed().subarray(0, 1000)),
  attack("a cut in a block's header", "TRUNCATED", () => packed().subarray(0, CONTENT_AT + 2)),
  attack("a cut between frames", "TRUNCATED", () => parts()[0] as Uint8Array, () => concatenated(...parts())),
  attack("a second frame that is cut", "TRUNCATED", () => concatenated(...parts()).subarray(0, -1)),
  attack("a second frame that is damaged", "COMPRESSION_DAMAGED", () => {
    const [first = new Uint8Array(), second = new Uint8Array()] = parts();
    return concatenated(first, changed(4, (byte) => byte | 8, second as Uint8Array<ArrayBuffer>));
  }, () => concatenated(...parts())),
  attack("bytes behind the last frame", "TRAILING_DATA", () => concatenated(packed(), "junk and more")),
  attack("a NUL behind the last frame", "TRAILING_DATA", () => concatenated(packed(), "\0")),
  attack(
    "half a magic behind the last frame",
    "TRAILING_DATA",
    () => concatenated(packed(), Uint8Array.of(0x28, 0xb5)),
  ),
  attack(
    "a skippable frame that is cut",
    "TRUNCATED",
    () => concatenated(packed(), skippable(new Uint8Array(9)).subarray(0, 12)),
    () => concatenated(packed(), skippable(new Uint8Array(9))),
  ),
  attack(
    "a skippable frame of 4 GiB that is not there",
    "TRUNCATED",
    () => concatenated(packed(), Uint8Array.of(0x50, 0x2a, 0x4d, 0x18, 255, 255, 255, 255)),
    () => concatenated(skippable(new Uint8Array()).subarray(0, 0), packed()),
  ),
  attack(
    "2,000 skippable frames in front",
    "LIMIT_MEMBERS",
    () => concatenated(...Array.from({ length: 2000 }, () => skippable(new Uint8Array())), packed()),
    () => concatenated(skippable(new Uint8Array(4)), packed()), // as pzstd writes it
  ),
  attack(
    "skippable frames in front that end behind the first MiB",
    "LIMIT_MEMBERS",
    () => concatenated(skippable(new Uint8Array(2 ** 20 - 7)), packed()),
    () => concatenated(skippable(new Uint8Array(2 ** 20 - 8)), packed()),
  ),
  attack(
    "a skippable frame in front that is cut",
    "TRUNCATED",
    () => skippable(new Uint8Array(9)).subarray(0, 12),
    () => concatenated(...Array.from({ length: 1000 }, () => skippable(new Uint8Array())), packed()),
  ),
  attack("gzip behind the last frame", "TRAILING_DATA", () => concatenated(packed(), member("gzip", tar(), true))),
  attack("another archive behind it", "TRAILING_DATA", () => concatenated(packed(), packed())),
  attack("zstd in zstd", "HEADER_NUMBER", () => member("zstd", concatenated(packed(), new Uint8Array(2048)), true)),
  attack("20,000 empty frames", "LIMIT_MEMBERS", () => emptyFrames(20_000), () => emptyFrames(50)),
];
