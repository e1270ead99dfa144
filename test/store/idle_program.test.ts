// A program ends when it has nothing left to do, whatever of the library still waits.
import path from "node:path";
import { describe, expect, it } from "vitest";
import { startChild } from "../faults/child.ts";
import { temporaryFolder } from "./places.ts";

// The shortest timer of the library that waits for something that may never come takes ten seconds.
const MOST_MS = 5_000;

async function timeToExit(...words: readonly string[]): Promise<{ code: number | null; told: string; errors: string }> {
  const folder = path.join(await temporaryFolder(), "states");
  const child = startChild("wait_idle", [folder, ...words]);
  let told = "";
  let errors = "";
  child.stdout.on("data", (chunk) => told += String(chunk));
  child.stderr.on("data", (chunk) => errors += String(chunk));
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, told, errors };
}

describe("A program exits at once", () => {
  it.each([
    ["after a save, whose memory is kept for a while", "saved"],
    ["while a save to a directory waits for its state", "save", "directory"],
    ["while a save to an archive waits for its state", "save", "tar.gz"],
    ["while a load waits for an unread stream", "load"],
    ["while the rest of a stream is not read", "stream"],
    ["while a server does not answer", "server"],
    ["while a server does not send the rest of its answer", "body"],
  ])("%s", async (_, ...words) => {
    const { code, told, errors } = await timeToExit(...words);
    expect([code, errors]).toEqual([0, ""]);
    expect(told).toMatch(new RegExp(`^${words[0]} \\d+\\n$`));
    expect(Number(told.split(" ")[1])).toBeLessThan(MOST_MS);
  });
});
