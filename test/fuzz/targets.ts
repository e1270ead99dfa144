// What is fuzzed. A case is a seed: the same seed makes the same case, on every runtime where it says so.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseManifest } from "../../src/manifest/manifest.ts";
import { faultOfStateName, PathSet } from "../../src/model/entry_path.ts";
import { isSnapshotError } from "../../src/model/errors.ts";
import { type Chances, makeArchive, manifestText, mutateManifest, sealText } from "./archive_case.ts";
import { Fault, judge, refusalOf } from "./oracle.ts";
import { Random } from "./random.ts";
import { faultOfText } from "./slow_manifest.ts";
import { collide, FOLDINGS, isSafePath, isSafeStateName, keyOf } from "./slow_paths.ts";
import { PATHS, someFiles } from "./tar_items.ts";

/** What became of a case. */
export interface Outcome {
  readonly verdict: string;
  /** Whether it must be the same on every runtime. */
  readonly isPortable: boolean;
}

/** Runs the case of a seed; throws where something is as it must not be. */
export type Target = (seed: number) => Promise<Outcome>;

async function runArchive(seed: number, chances: Chances): Promise<Outcome> {
  const random = new Random(seed);
  const { bytes, mutations, isPortable } = makeArchive(random, chances);
  const verdict = await judge(bytes, random);
  if (mutations.length === 0 && verdict !== "whole") throw new Fault(`a sound archive is refused: ${verdict}`);
  return { verdict, isPortable };
}

async function runManifest(seed: number): Promise<Outcome> {
  const random = new Random(seed);
  const body = mutateManifest(random, manifestText(someFiles(random)));
  const bytes = sealText(body);
  if (random.chance(0.05)) bytes[random.below(bytes.length)] = random.below(256);
  const fault = faultOfText(bytes);
  let verdict = "accepted";
  try {
    await parseManifest(bytes, "fuzz");
  } catch (error) {
    verdict = refusalOf(error);
  }
  if (verdict === "accepted" && fault !== undefined) {
    throw new Fault(`a manifest is accepted that breaks a rule: ${fault}`);
  }
  if (verdict !== "accepted" && fault === undefined) throw new Fault(`a manifest is refused that keeps all rules`);
  return { verdict, isPortable: true };
}

const LETTERS = [
  ..."aAbBkKsSiIxX01.. _-$",
  ..."ßẞſK\u212aéÉåÅΣσςıİǅﬁ①²¹．／＼：￥ａ",
  ..."\0\n\u007f\u0085\u00a0\u00ad\u200b\u202e\u2028\ufeff\u3000\ufdfa",
  "\ud800",
  "e\u0301",
  "\u{1f9e0}",
  "/",
  "\\",
  ":",
];
const WORDS = [
  "CON",
  "nul",
  "COM1",
  "lpt¹",
  "aux.txt",
  "conin$",
  "CONOUT$.x",
  "com0 .y",
  "..",
  ".",
  "manifest.json",
  "a",
];

function somePart(random: Random): string {
  if (random.chance(0.15)) return random.pick(WORDS);
  if (random.chance(0.03)) return random.pick(LETTERS).repeat(random.pick([63, 64, 127, 128, 255, 256]));
  return Array.from({ length: 1 + random.below(4) }, () => random.pick(LETTERS)).join("");
}

function somePath(random: Random): string {
  if (random.chance(0.1)) return random.pick(PATHS);
  const depth = random.chance(0.02) ? random.pick([63, 64, 65]) : 1 + random.below(3);
  return Array.from({ length: depth }, () => somePart(random)).join("/");
}

/** A path that is like another: in another case or form, longer, or shorter. */
function likeness(random: Random, of: string): string {
  const change = random.below(8);
  if (change < 3) return change === 0 ? of.toUpperCase() : change === 1 ? of.toLowerCase() : of;
  if (change < 6) return of.normalize(random.pick(["NFC", "NFD", "NFKC", "NFKD"]));
  return change === 6 ? `${of}/${somePart(random)}` : of.slice(0, Math.max(1, of.lastIndexOf("/")));
}

async function runPaths(seed: number): Promise<Outcome> {
  const random = new Random(seed);
  const set = new PathSet();
  const accepted: string[] = [];
  for (let count = 1 + random.below(5); count > 0; count--) {
    const isAlike = accepted.length > 0 && random.chance(0.6);
    const name = isAlike ? likeness(random, random.pick(accepted)) : somePath(random);
    const verdict = verdictOfPath(set, name);
    const isSafe = isSafePath(name);
    const isClash = accepted.some((other) => collide(name, other, keyOf));
    const wanted = !isSafe ? "ENTRY_PATH_UNSAFE" : isClash ? "ENTRY_EXISTS" : "accepted";
    if (verdict !== wanted) throw new Fault(`${JSON.stringify(name)} is ${verdict} and not ${wanted}`);
    if ((faultOfStateName(name) === undefined) !== isSafeStateName(name)) {
      throw new Fault(`the verdict on the state name ${JSON.stringify(name)} is wrong`);
    }
    if (verdict === "accepted") accepted.push(name);
    else if (verdict === "ENTRY_EXISTS") break; // it may have entered its folders
  }
  for (const fold of FOLDINGS) {
    for (const [index, one] of accepted.entries()) {
      const other = accepted.slice(index + 1).find((candidate) => collide(one, candidate, fold));
      if (other !== undefined) {
        throw new Fault(`${JSON.stringify(one)} and ${JSON.stringify(other)} are one file by ${fold}`);
      }
    }
  }
  if (seed % 40 === 0) await assertLiesOnDisk(accepted);
  return { verdict: `${accepted.length} accepted`, isPortable: true };
}

function verdictOfPath(set: PathSet, name: string): string {
  try {
    set.add(name);
    return "accepted";
  } catch (error) {
    if (!isSnapshotError(error)) throw new Fault(`${JSON.stringify(name)} fails with ${String(error)}`);
    return error.code;
  }
}

/** What was accepted lies on disk under its very names, and nothing lies outside. */
async function assertLiesOnDisk(names: readonly string[]): Promise<void> {
  const room = await mkdtemp(path.join(tmpdir(), "snapkeep-fuzz-"));
  try {
    const folder = path.join(room, "within");
    await mkdir(folder);
    for (const name of names) {
      await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
      await writeFile(path.join(folder, name), name, { flag: "wx" });
    }
    for (const name of names) {
      if (await readFile(path.join(folder, name), "utf8") !== name) {
        throw new Fault(`${JSON.stringify(name)} is another file`);
      }
    }
    const outside = await readdir(room);
    if (outside.length > 1) throw new Fault(`${JSON.stringify(names)} lie outside of their folder`);
  } finally {
    await rm(room, { recursive: true, force: true });
  }
}

/** The targets by name. */
export const TARGETS: Readonly<Record<"archive" | "table" | "manifest" | "paths", Target>> = {
  archive: (seed) => runArchive(seed, { tar: 0.7, manifest: 0.05, table: 0.05, members: 0.2, bytes: 0.1 }),
  table: (seed) =>
    runArchive(seed, { tar: 0, manifest: 0.15, table: 0.9, members: 0.05, bytes: 0.05, isIndexed: true }),
  manifest: runManifest,
  paths: runPaths,
};
