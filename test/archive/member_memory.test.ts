// What decompressed members may take up is bounded by their bytes, and who waits for room gets it in turn.
import { describe, expect, it } from "vitest";
import { LatestMembers, Room } from "../../src/archive/member_memory.ts";

const MIB = 1024 * 1024;
const memberAt = (offset: number) => ({ offset });

describe("the latest members", () => {
  const members = Array.from({ length: 12 }, (_, offset) => memberAt(offset));
  const kept = (latest: LatestMembers<number>) =>
    members.filter((member) => latest.get(member) !== undefined).map(({ offset }) => offset);

  it("are a few, and those used longest ago make room", () => {
    const latest = new LatestMembers<number>();
    for (const member of members.slice(0, 8)) latest.keep(member, member.offset, 1);
    latest.keep(members[0] as { offset: number }, 0, 1);
    latest.keep(members[8] as { offset: number }, 8, 1);
    expect(kept(latest)).toEqual([0, 2, 3, 4, 5, 6, 7, 8]);
    latest.clear();
    expect(kept(latest)).toEqual([]);
  });

  it("are fewer where they are large, but the latest is always there", () => {
    const latest = new LatestMembers<number>();
    for (const member of members.slice(0, 4)) latest.keep(member, member.offset, 30 * MIB);
    expect(kept(latest)).toEqual([2, 3]);
    latest.keep(members[4] as { offset: number }, 4, 256 * MIB);
    expect(kept(latest)).toEqual([4]);
    latest.keep(members[5] as { offset: number }, 5, MIB);
    latest.keep(members[6] as { offset: number }, 6, MIB);
    expect(kept(latest)).toEqual([5, 6]);
  });
});

describe("room", () => {
  it("is given in the order of the calls, to as much as fits, and to one alone that does not", async () => {
    const room = new Room();
    const begun: number[] = [];
    const ends: (() => void)[] = [];
    const sizes = [60, 60, 60, 200, 1, 1].map((size) => size * MIB);
    const works = sizes.map((sizeBytes, index) =>
      room.use(sizeBytes, () => {
        begun.push(index);
        return new Promise<void>((resolve) => ends[index] = resolve);
      })
    );
    const settled = () => new Promise((resolve) => setTimeout(resolve, 0));
    expect(begun).toEqual([0, 1]);
    ends[0]?.();
    await settled();
    expect(begun).toEqual([0, 1, 2]);
    ends[2]?.();
    await settled();
    expect(begun).toEqual([0, 1, 2]); // the large one waits to be alone, and the small ones wait for it
    ends[1]?.();
    await settled();
    expect(begun).toEqual([0, 1, 2, 3]);
    ends[3]?.();
    await settled();
    expect(begun).toEqual([0, 1, 2, 3, 4, 5]);
    for (const end of ends) end();
    await Promise.all(works);
  });

  it("is given back where the work fails", async () => {
    const room = new Room();
    const failure = new Error("damaged");
    const failing = room.use(128 * MIB, () => Promise.reject(failure));
    const next = room.use(128 * MIB, () => Promise.resolve("next"));
    await expect(failing).rejects.toBe(failure);
    expect(await next).toBe("next");
  });
});
