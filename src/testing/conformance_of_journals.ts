// The contract of journals, which a backend may have. What a killed writer or another user left is put there through the file system.
import type { Backend, Journal } from "../model/backend.ts";
import {
  all,
  type Cases,
  check,
  encode,
  failure,
  refuses,
  same,
  sameBytes,
  type Skipped,
  transfer,
  UNSAFE_NAMES,
} from "./expectations.ts";

/** Returns the path of a journal's file. */
export type JournalFile = (backend: Backend, name: string) => string;

const NAME = "ledger";
const MAX_LINE_BYTES = 16 * 1024 * 1024;
const NO_JOURNAL: Skipped = { reason: "the backend has no journal" };
const NO_FILE: Skipped = { reason: "the option journalFile is missing" };

type JournalCase = (open: (name?: string) => Journal, backend: Backend) => Promise<void | Skipped>;

const texts = async (journal: Journal) => (await all(journal.lines())).map((line) => new TextDecoder().decode(line));
const append = (journal: Journal, ...lines: string[]) => journal.append(lines.map(encode));
const rewrite = (journal: Journal, keeps: (text: string) => boolean) =>
  journal.rewrite((line) => keeps(new TextDecoder().decode(line)));

const anyCases: Readonly<Record<string, JournalCase>> = {
  "a journal keeps lines in order, for all that read it": async (open) => {
    const journal = open();
    same(await texts(journal), [], "lines of a new journal");
    await append(journal, "a", "b");
    await append(journal);
    await append(journal, "c");
    same(await texts(journal), ["a", "b", "c"], "lines");
    same(await texts(open()), ["a", "b", "c"], "lines, as another reader sees them");
    await append(open(), "d");
    await append(journal, "e");
    same(await texts(open()), ["a", "b", "c", "d", "e"], "lines of two writers");
    same(await texts(open("other")), [], "lines of another journal");
  },

  "a journal keeps any bytes but newlines": async (open) => {
    const bytes = new Uint8Array(256).map((_, index) => index).filter((byte) => byte !== 0x0a);
    const lines = [bytes, encode("\r"), encode('{"__proto__":1}'), new Uint8Array(5), encode("\u2028"), encode(" ")];
    await open().append(lines);
    const found = await all(open().lines());
    same(found.length, lines.length, "lines");
    for (const [index, line] of lines.entries()) sameBytes(found[index] ?? bytes, line, `line ${index}`);
    for (const line of found) transfer(line as Uint8Array<ArrayBuffer>, "a line");
    const error = await failure((async () => await append(open(), "a\nb"))(), "a line with a newline");
    check(error instanceof TypeError, `a line with a newline: expected a TypeError, found ${error}`);
    same((await all(open().lines())).length, lines.length, "lines after one was refused");
  },

  "a journal takes lines of 16 MiB, and no longer ones": async (open) => {
    const longest = new Uint8Array(MAX_LINE_BYTES).fill(0x78);
    const tooLong = new Uint8Array(MAX_LINE_BYTES + 1).fill(0x78);
    const error = await failure((async () => await open().append([encode("a"), tooLong]))(), "a line that is too long");
    check(error instanceof RangeError, `a line that is too long: expected a RangeError, found ${error}`);
    await open().append([encode("b"), longest, encode("c")]);
    same((await all(open().lines())).map(({ length }) => length), [1, MAX_LINE_BYTES, 1], "lengths of the lines");
  },

  "of concurrent appends of several writers none is lost": async (open) => {
    const writers = [open(), open(), open()];
    const names = Array.from({ length: 30 }, (_, index) => `line ${index}`);
    await Promise.all(names.map((name, index) => append(writers[index % writers.length] as Journal, name, `${name}b`)));
    same((await texts(open())).sort(), names.flatMap((name) => [name, `${name}b`]).sort(), "lines");
  },

  "a rewrite removes lines, and other writers append behind it": async (open) => {
    const [one, two] = [open(), open()];
    await rewrite(one, () => false);
    same(await texts(one), [], "lines after a rewrite of nothing");
    await append(one, "a", "b");
    await append(two, "c");
    await rewrite(one, (text) => text !== "b");
    same(await texts(two), ["a", "c"], "lines after a rewrite");
    await append(two, "d");
    await append(one, "e");
    same(await texts(open()), ["a", "c", "d", "e"], "lines appended after a rewrite");
    await rewrite(two, () => true);
    await rewrite(two, (text) => text === "e");
    await append(one, "f");
    same(await texts(open()), ["e", "f"], "lines after another rewrite");
    await rewrite(one, () => false);
    await append(two, "g");
    same(await texts(open()), ["g"], "lines after a rewrite that kept none");
    const stop = new Error("stop");
    const failing = rewrite(one, () => {
      throw stop;
    });
    same(await failure(failing, "a rewrite whose function throws") === stop, true, "whether the error comes through");
    await append(one, "h");
    same(await texts(open()), ["g", "h"], "lines after a rewrite that failed");
  },

  "a rewrite loses nothing that is appended meanwhile": async (open) => {
    const [one, two] = [open(), open()];
    const kept = Array.from({ length: 20 }, (_, index) => `kept ${index}`);
    const appending = async () => {
      for (const name of kept) await append(one, name, "dropped");
    };
    const rewriting = async () => {
      for (let round = 0; round < 10; round++) await rewrite(two, (text) => text !== "dropped");
    };
    await Promise.all([appending(), rewriting()]);
    await rewrite(one, (text) => text !== "dropped");
    same([...new Set(await texts(open()))], kept, "lines, of which each may be there twice");
  },

  "a journal is no unit and no note, and no sweep removes it": async (open, backend) => {
    await append(open(), "a");
    same(await all(backend.list()), [], "units");
    same(await all(backend.notes.list()), [], "notes");
    same(await backend.sweep(-1), [], "units that were swept");
    await append(open(), "b");
    same(await texts(open()), ["a", "b"], "lines after a sweep");
  },

  "unsafe names of journals are refused": async (open) => {
    for (const name of UNSAFE_NAMES) {
      const use = async () => {
        await append(open(name), "a");
      };
      await refuses(use(), "NAME_UNSAFE", `a journal of "${name}"`);
    }
  },
};

type FileCase = (open: () => Journal, path: string) => Promise<void>;

const fileCases: Readonly<Record<string, FileCase>> = {
  "a torn line stays, and no line continues it": async (open, path) => {
    const { readFile, writeFile } = await import("node:fs/promises");
    await append(open(), "whole");
    const torn = [...await readFile(path), ...encode("torn")];
    await writeFile(path, new Uint8Array(torn));
    same(await texts(open()), ["whole", "torn"], "lines with a torn one");
    await append(open(), "next");
    same(await texts(open()), ["whole", "torn", "next"], "lines behind a torn one");
    sameBytes(new Uint8Array(await readFile(path)).subarray(0, torn.length), new Uint8Array(torn), "what was there");
    await rewrite(open(), (text) => text !== "whole");
    same(await texts(open()), ["torn", "next"], "lines after a rewrite");
  },

  "lines of anybody are read, and only those that are too long are passed over": async (open, path) => {
    const { writeFile } = await import("node:fs/promises");
    await append(open(), "first");
    const tooLong = "x".repeat(MAX_LINE_BYTES + 1);
    await writeFile(path, `\n\n\r\n${tooLong}\n[[[[\n\0\0\n${tooLong}\nlast\n${tooLong}`);
    same(await texts(open()), ["\r", "[[[[", "\0\0", "last"], "lines");
    await append(open(), "next");
    same(await texts(open()), ["\r", "[[[[", "\0\0", "last", "next"], "lines behind one that is too long and torn");
  },

  "a writer appends to a journal that was replaced": async (open, path) => {
    const { rename, writeFile } = await import("node:fs/promises");
    const journal = open();
    await append(journal, "old");
    await writeFile(`${path}.new`, "new");
    await rename(`${path}.new`, path);
    await append(journal, "next");
    same(await texts(open()), ["new", "next"], "lines");
  },

  "no link is followed in the place of a journal": async (open, path) => {
    const { readFile, rm, symlink, writeFile } = await import("node:fs/promises");
    const journal = open();
    await append(journal, "before");
    const target = `${path}.target`;
    await writeFile(target, "untouched");
    await rm(path);
    await symlink(target, path);
    const uses: Readonly<Record<string, () => Promise<unknown>>> = {
      "reading": () => texts(open()),
      "appending": () => append(open(), "next"),
      "appending, as a writer from before": () => append(journal, "next"),
      "rewriting": () => rewrite(open(), () => false),
    };
    for (const [what, use] of Object.entries(uses)) await refuses(use(), "STORAGE_FAILED", `${what} through a link`);
    same(await readFile(target, "utf8"), "untouched", "the target of the link");
  },
};

/** Cases about journals. */
export function journalCases(file: JournalFile | undefined): Cases {
  const cases: [string, JournalCase][] = [
    ...Object.entries(anyCases),
    ...Object.entries(fileCases).map(([name, run]): [string, JournalCase] => [name, async (open, backend) => {
      if (file === undefined) return NO_FILE;
      await run(open, file(backend, NAME));
    }]),
  ];
  return Object.fromEntries(cases.map(([name, run]) => [name, async (backend: Backend) => {
    const { journal } = backend;
    if (journal === undefined) return NO_JOURNAL;
    return await run((other = NAME) => backend.journal!(other), backend);
  }]));
}
