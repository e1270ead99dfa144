// Which members are read and decompressed together: small ones that follow each other in the file. Each by itself costs several
// trips to the thread pool, which take longer than to decompress it.
import type { Chunk, ListedEntry, ListedMember } from "./table.ts";

/** Headers and padding that may follow the last payload of a member, in bytes. */
export const SLACK_BYTES: number = 1024 * 1024;

const SMALL_MEMBER_BYTES = 256 * 1024;
const RUN_BYTES = 1024 * 1024;
// Members that hold nothing cost time and give no bytes. Compression that fails adds a thousandth, and a member's own bytes
// are fewer than the header of a tar in it: honest archives never expand to less than half of what they are.
const FREE_PACKED_BYTES = 4 * 1024 * 1024;

/** Entries in one member, with the only piece of each; without a member, entries that are to be read by themselves. */
interface Group {
  member: Readonly<ListedMember> | undefined;
  readonly chunks: (Chunk | undefined)[];
}

/** Groups that are read together. */
export interface Run {
  readonly groups: Group[];
  /** Whether its members are decompressed by one call. Else it has one at the most, which is decompressed by itself. */
  readonly isDecodedWhole: boolean;
  /** Where the first member begins in the file. */
  readonly offset: number;
  /** How many bytes of the file all members take. */
  packedBytes: number;
  /** How much of them is needed, in bytes once decompressed. */
  neededBytes: number;
}

/** How many bytes honest members take, at the most, to hold so much. */
export function mostPackedBytes(sizeBytes: number): number {
  return FREE_PACKED_BYTES + 2 * sizeBytes;
}

/** How much is read of a member, at the most, for what is needed of it: what follows may be headers of many empty entries. */
export function packedBytesOf({ offset, endOffset, neededBytes }: Readonly<ListedMember>): number {
  return Math.min(endOffset - offset, mostPackedBytes(neededBytes + SLACK_BYTES));
}

/**
 * What is to be read together, in order.
 *
 * @param entries The table.
 * @param entryPaths Entries that are to be read; any may be missing.
 * @param isAlone Tells whether a member is to be decompressed by itself.
 */
export function* runsOf(
  entries: ReadonlyMap<string, ListedEntry>,
  entryPaths: Iterable<string>,
  isAlone: (member: Readonly<ListedMember>) => boolean,
): Generator<Run, void> {
  let run: Run | undefined;
  for (const group of groupsOf(entries, entryPaths)) {
    const { member } = group;
    const neededBytes = member?.neededBytes ?? 0;
    const packedBytes = member === undefined ? 0 : packedBytesOf(member);
    const isSmall = (bytes: number, others: number) => bytes <= SMALL_MEMBER_BYTES && others + bytes <= RUN_BYTES;
    if (
      run?.isDecodedWhole && run.offset + run.packedBytes === member?.offset &&
      isSmall(packedBytes, run.packedBytes) && isSmall(neededBytes, run.neededBytes)
    ) {
      run.groups.push(group);
      run.packedBytes += packedBytes;
      run.neededBytes += neededBytes;
      continue;
    }
    if (run !== undefined) yield run;
    const isDecodedWhole = member !== undefined && isSmall(packedBytes, 0) && isSmall(neededBytes, 0) &&
      !isAlone(member);
    run = { groups: [group], isDecodedWhole, offset: member?.offset ?? 0, packedBytes, neededBytes };
  }
  if (run !== undefined) yield run;
}

/** Entries that follow each other in one member. */
function* groupsOf(entries: ReadonlyMap<string, ListedEntry>, entryPaths: Iterable<string>): Generator<Group, void> {
  let group: Group = { member: undefined, chunks: [] };
  for (const path of entryPaths) {
    const { chunks = [] } = entries.get(path) ?? {};
    const only = chunks.length === 1 ? chunks[0] : undefined;
    if (group.chunks.length > 0 && group.member !== only?.member) {
      yield group;
      group = { member: undefined, chunks: [] };
    }
    group.member = only?.member;
    group.chunks.push(only);
  }
  if (group.chunks.length > 0) yield group;
}
