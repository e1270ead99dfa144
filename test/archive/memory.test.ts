// A large state goes through in bounded memory, whichever way it comes and goes: measured in processes of their own, at
// their peak. The bound is that for states of any size; 2 GiB were measured by hand.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root, run } from "../../tools/run.mjs";
import { amount, isLong } from "../torture/budget.ts";

const MIB = 1024 * 1024;
const SIZE_BYTES = amount("memory", "size") * MIB;
const BOUND_BYTES = 128 * MIB;

const probe = (process.env["SNAPKEEP_RUNTIME"] ?? "node") === "node"
  ? path.join(root, "dist/test/children/memory_probe.js")
  : path.join(root, "test/children/memory_probe.ts");
const isMeasurable = process.platform === "linux";
if (!isMeasurable) console.warn("skipped the memory of processes: only Linux tells their peak");

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "snapkeep-memory-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/**
 * By how much a process grew at its peak, doing one thing with a large state.
 *
 * @param attempts A garbage collector that gets no time lets a process grow: on a busy machine the least of some tries counts.
 */
async function growthOf(
  how: string,
  what: string,
  { states = how, layout = "tar.gz", attempts = 4 } = {},
): Promise<number> {
  let leastBytes = Infinity;
  for (let attempt = 0; attempt < attempts && leastBytes >= BOUND_BYTES; attempt++) {
    const at = path.join(folder, `${states}_${what === "save" ? attempt : 0}`);
    const { code, output, stdout } = await run(process.execPath, [probe, how, what, String(SIZE_BYTES), at, layout]);
    expect(code, output).toBe(0);
    const { growthBytes } = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as { growthBytes: number };
    leastBytes = Math.min(leastBytes, growthBytes);
  }
  return leastBytes;
}

describe.skipIf(!isMeasurable)("a process that has a large state grows by less than 128 MiB", () => {
  it("when it saves a stream of known size, and when it loads that", async () => {
    expect(await growthOf("sized", "save")).toBeLessThan(BOUND_BYTES);
    expect(await growthOf("sized", "load")).toBeLessThan(BOUND_BYTES);
  }, 900_000);

  it.skipIf(!isLong)("when it loads an archive of such a stream as a stream", async () => {
    expect(await growthOf("sized", "save", { states: "streamed" })).toBeLessThan(BOUND_BYTES);
    expect(await growthOf("sized", "stream in", { states: "streamed" })).toBeLessThan(BOUND_BYTES);
  }, 900_000);

  it.skipIf(!isLong)("when it saves bytes that it gave away, and when it loads them into memory it has", async () => {
    expect(await growthOf("owned", "save")).toBeLessThan(BOUND_BYTES);
    expect(await growthOf("owned", "load")).toBeLessThan(BOUND_BYTES);
  }, 900_000);

  it.skipIf(!isLong)("when it saves a stream of unknown size, and when it loads that as a stream", async () => {
    expect(await growthOf("stream", "save")).toBeLessThan(BOUND_BYTES);
    expect(await growthOf("stream", "stream in")).toBeLessThan(BOUND_BYTES);
  }, 900_000);

  it.skipIf(!isLong)("when it streams a snapshot out", async () => {
    expect(await growthOf("sized", "stream out", { states: "nothing" })).toBeLessThan(BOUND_BYTES);
  }, 900_000);

  it("and would be seen to grow if it held the state", async () => {
    // The measure itself: without `owned`, capturing bytes copies them.
    const growthBytes = await growthOf("copied", "save", { layout: "directory", attempts: 1 });
    expect(growthBytes).toBeGreaterThan(SIZE_BYTES - 16 * MIB);
  }, 900_000);
});
