// Names come from programs and from hostile archives: what is accepted must work on every file system, the rest is refused.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  assertSnapshotName,
  assertStateName,
  collisionKey,
  faultOfEntryPath,
  faultOfSnapshotName,
  faultOfStateName,
  PathSet,
} from "../../src/model/entry_path.ts";
import { isSnapshotError } from "../../src/model/errors.ts";

const plainPart = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}[A-Za-z0-9_-]$/);
const anyPart = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 });
const letters = fc.string({
  unit: fc.constantFrom(...Array.from("aAbBßẞsSſKkkKéÉéÅåﬁfiΣσςıIİiǅ")),
  minLength: 1,
  maxLength: 4,
});
const anyPath = fc.array(fc.oneof(plainPart, anyPart, letters), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join("/"));
const goodPath = anyPath.filter((candidate) => faultOfEntryPath(candidate) === undefined);

async function filesBelow(folder: string, below = ""): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(path.join(folder, below), { withFileTypes: true })) {
    const name = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) found.push(...await filesBelow(folder, name));
    else found.push(name);
  }
  return found.sort();
}

let folder = "";
let count = 0;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "snapkeep-paths-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function store(root: string, name: string): Promise<void> {
  await mkdir(path.dirname(path.join(root, name)), { recursive: true });
  await writeFile(path.join(root, name), name, { flag: "wx" });
}

describe("faultOfEntryPath", () => {
  it("accepts only paths that lie on disk under that very path and can be read back", async () => {
    await fc.assert(
      fc.asyncProperty(goodPath, async (name) => {
        const root = path.join(folder, String(count++));
        await mkdir(root);
        await store(root, name);
        expect(await filesBelow(root)).toEqual([name]);
        expect(await readFile(path.join(root, name), "utf8")).toBe(name);
        expect(path.posix.normalize(name)).toBe(name);
      }),
      { numRuns: 150 },
    );
  });

  it.each([
    ["a part of 255 bytes", "x".repeat(255)],
    ["a part of 255 bytes that are fewer characters", "é".repeat(127) + "x"],
    ["a path of 1,024 bytes", ["a", "b", "c", "d"].map((part) => part.repeat(255)).join("/") + "/"],
    ["64 folders deep", Array.from({ length: 64 }, () => "d").join("/")],
    ["other scripts", "моде́ль/重み/الحالة/🧠.bin"],
    ["emoji with a variation selector", "❤️/☀️.bin"],
    ["inner dots and spaces", "a..b/c d/e.f.g/.hidden"],
    ["names that only begin like reserved ones", "console/communication/COM10/nullable.txt"],
    ["names of JavaScript's own", "__proto__/constructor/toString"],
  ])("accepts %s", async (_, given) => {
    const name = given.endsWith("/") ? given.slice(0, -1) : given;
    expect(faultOfEntryPath(name)).toBeUndefined();
    const root = path.join(folder, String(count++));
    await mkdir(root);
    await store(root, name);
    expect(await filesBelow(root)).toEqual([name]);
  });

  const refused: Record<string, readonly string[]> = {
    "path escape: parent folders": ["..", "../a", "a/..", "a/../b", "../../etc/passwd"],
    "path escape: absolute paths": ["/", "/a", "//a", "///a/b", "//server/share/a"],
    "path escape: backslashes and UNC": ["\\", "a\\b", "..\\a", "\\\\server\\share", "\\\\?\\C:\\a"],
    "path escape: drive letters": ["C:", "C:x", "C:\\x", "C:/x", "c:/x"],
    "path escape: NUL": ["\0", "a\0b", "a/b\0", "a\0/../b"],
    "path escape: empty paths and parts": ["", "a/", "a//b", "/", "//"],
    "path escape: the folder itself": [".", "./a", "a/.", "a/./b"],
    "path escape: slashes and dots that appear by normalisation": ["a／b", "℀", "．．", "a/．．/b", "‥", "．", "a＼b"],
    "odd names: control characters": ["a\nb", "\t", "a\u001f", "\u007f", "a\u0085b", "\u009f"],
    "odd names: bidi and zero-width": [
      "a\u202eb",
      "\u200ea",
      "a\u2066b",
      "a\u200b",
      "a\u200cb",
      "a\u200db",
      "\ufeffa",
      "a\u00adb",
      "a\u2060b",
      "\u{e0041}",
    ],
    "odd names: line and paragraph separators": ["a\u2028b", "a\u2029b"],
    "odd names: lone surrogates": ["\ud800", "a\udc00b", "\udc00\ud800", "a/\udfff"],
    "odd names: parts of more than 255 bytes": [
      "x".repeat(256),
      "a/" + "x".repeat(300),
      "é".repeat(128),
      "🧠".repeat(64),
    ],
    "odd names: parts that grow past 255 bytes by normalisation": ["\ufdfa".repeat(20)],
    "odd names: paths of more than 1,024 bytes": [
      `${Array.from({ length: 5 }, () => "x".repeat(204)).join("/")}/y`,
      Array.from({ length: 40 }, () => "é".repeat(13)).join("/"),
    ],
    "odd names: more than 64 folders": [Array.from({ length: 65 }, () => "d").join("/")],
    "odd names: what Windows refuses": [
      "a<b",
      "a>b",
      'a"b',
      "a|b",
      "a?b",
      "a*b",
      "a:b",
      "file:stream",
      "：",
      "a＜b",
      "a？",
    ],
    "odd names: trailing dots and spaces": ["a.", "a ", "a./b", "a /b", "a. ", "...", " ", "a\u00a0", "a\u3000", "a．"],
    "odd names: reserved on Windows": [
      "CON",
      "con",
      "Con.txt",
      "a/NUL",
      "nul.tar.gz",
      "PRN",
      "AUX/a",
      "COM0",
      "COM1",
      "com9.log",
      "COM¹",
      "LPT³.txt",
      "LPT0",
      "CONIN$",
      "conout$",
      "ＣＯＮ",
      "COM①",
    ],
    "odd names: reserved on Windows with spaces before the dot": ["con .txt", "NUL  .a", "COM1 .x.y"],
  };
  it.each(Object.entries(refused))("refuses %s", (_, names) => {
    const accepted = names.filter((name) => faultOfEntryPath(name) === undefined);
    expect(accepted.map((name) => JSON.stringify(name))).toEqual([]);
  });

  it("refuses any path as soon as one bad character stands anywhere in it", () => {
    const bad = fc.constantFrom(
      ...Array.from('\0\n\r\t\u001b\u007f\\<>:"|?*\u200b\u200f\u202a\u2028\ufeff'),
      "\ud800",
      "\udc00",
    );
    fc.assert(
      fc.property(goodPath, bad, fc.nat(), (name, character, at) => {
        // Not within a pair of surrogates, where a lone one might find its other half.
        const points = Array.from(name);
        points.splice(at % (points.length + 1), 0, character);
        expect(faultOfEntryPath(points.join(""))).toBeDefined();
      }),
    );
  });

  it("refuses any path as soon as one part of it is no name", () => {
    const bad = fc.constantFrom("", ".", "..", "NUL", "a.", "b ");
    fc.assert(
      fc.property(fc.array(plainPart, { minLength: 1, maxLength: 4 }), bad, fc.nat(), (parts, part, at) => {
        fc.pre(faultOfEntryPath(parts.join("/")) === undefined);
        const changed = [...parts];
        changed.splice(at % (parts.length + 1), 0, part);
        expect(faultOfEntryPath(changed.join("/"))).toBeDefined();
      }),
    );
  });

  it("refuses a part whatever its normal form, once one of the forms is refused", () => {
    fc.assert(
      fc.property(anyPart, (part) => {
        fc.pre(faultOfEntryPath(part) === undefined);
        expect(faultOfEntryPath(part.normalize("NFC"))).toBeUndefined();
        expect(faultOfEntryPath(part.normalize("NFKC"))).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });
});

describe("collisionKey", () => {
  it.each([
    ["case", "Model.bin", "mODEL.BIN"],
    ["composed and decomposed accents", "caf\u00e9", "cafe\u0301"],
    ["sharp s and its capital", "stra\u00dfe", "STRA\u1e9eE"],
    ["sharp s and double s", "stra\u00dfe", "STRASSE"],
    ["ligatures", "\ufb01le", "FILE"],
    ["the Kelvin sign", "\u212aey", "key"],
    ["the \u00c5ngstr\u00f6m sign", "\u212b", "\u00e5"],
    ["fullwidth forms", "\uff41\uff22", "ab"],
    ["final and medial sigma", "\u03bf\u03b4\u03cc\u03c2", "\u03bf\u03b4\u03cc\u03c3"],
    ["long s", "\u017ftate", "state"],
    ["title-case digraphs", "\u01c5", "\u01c6"],
    ["superscripts", "x\u00b2", "x2"],
    ["a variation selector", "a\ufe0f.txt", "a.txt"],
    ["a variation selector of ideographs", "a\u{e0100}.txt", "a.txt"],
    ["a grapheme joiner", "e\u034f\u0301", "\u00e9"],
    ["a filler", "a\u3164b\uffa0", "ab"],
  ])("is equal where file systems may confuse: %s", (_, a, b) => {
    expect(collisionKey(a)).toBe(collisionKey(b));
  });

  it("differs where no file system confuses", () => {
    const names = ["a", "b", "aa", "a/a", "a.b", "ab", "é", "e", "ss", "s", "ü", "u"];
    expect(new Set(names.map(collisionKey)).size).toBe(names.length);
  });

  it("is the same for every letter, its cases and its normal forms, and for its own key", () => {
    const broken: string[] = [];
    for (let point = 0x21; point < 0x20000; point++) {
      if (point >= 0xd800 && point <= 0xdfff) continue;
      const letter = String.fromCodePoint(point);
      const forms = new Set([
        letter.toLowerCase(),
        letter.toUpperCase(),
        letter.normalize("NFKD"),
        letter.normalize("NFC"),
      ]);
      const key = collisionKey(letter);
      forms.add(key);
      for (const form of forms) if (collisionKey(form) !== key) broken.push(`${point.toString(16)}: ${letter} ${form}`);
    }
    expect(broken).toEqual([]);
  });

  it("is the same for a path, its cases, its normal forms and its own key", () => {
    fc.assert(
      fc.property(goodPath, (name) => {
        const key = collisionKey(name);
        for (
          const form of [name.toUpperCase(), name.toLowerCase(), name.normalize("NFD"), name.normalize("NFKC"), key]
        ) {
          expect(collisionKey(form)).toBe(key);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

function verdict(names: readonly string[]): boolean {
  const paths = new PathSet();
  try {
    for (const name of names) {
      if (name.endsWith("/")) paths.addFolder(name.slice(0, -1));
      else paths.add(name);
    }
    return true;
  } catch (error) {
    if (isSnapshotError(error, "ENTRY_EXISTS")) return false;
    throw error;
  }
}

describe("PathSet", () => {
  const small = fc.constantFrom("a", "A", "b", "ß", "ss", "ẞ", "é", "É", "a.b", "ﬁ", "fi");
  const paths = fc.array(
    fc.tuple(fc.array(small, { minLength: 1, maxLength: 4 }), fc.constantFrom("", "", "/"))
      .map(([parts, end]) => parts.join("/") + end),
    { minLength: 2, maxLength: 6 },
  );

  it("comes to the same verdict in whatever order the paths come", () => {
    fc.assert(
      fc.property(
        paths.chain((names) => fc.tuple(fc.constant(names), fc.shuffledSubarray(names, { minLength: names.length }))),
        ([names, shuffled]) => {
          expect(verdict(shuffled)).toBe(verdict(names));
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("refuses exactly what cannot coexist on a file system that folds case", () => {
    fc.assert(
      fc.property(paths, (names) => {
        // A model that knows nothing of maps: every two paths, and every two folders, are compared as a whole.
        const items = names.map((name) => {
          const parts = name.split("/").filter((part) => part !== "");
          const onTheWay = parts.map((_, end) => parts.slice(0, end + 1).join("/"));
          const file = name.endsWith("/") ? undefined : onTheWay.pop();
          return { file, folders: onTheWay };
        });
        const isOne = (one?: string, other?: string) =>
          one !== undefined && other !== undefined && collisionKey(one) === collisionKey(other);
        const clashes = items.some(({ file, folders }, index) =>
          items.some((other, otherIndex) =>
            index !== otherIndex &&
            (isOne(file, other.file) || other.folders.some((folder) =>
              isOne(file, folder) || folders.some((mine) => mine !== folder && isOne(mine, folder))
            ))
          )
        );
        expect(verdict(names)).toBe(!clashes);
      }),
      { numRuns: 2000 },
    );
  });

  it("takes room for paths, not for each folder on their ways: hostile ones are nothing but folders", () => {
    const grown = vi.spyOn(Map.prototype, "set");
    const paths = new PathSet();
    const deep = `${"b/".repeat(61)}f`;
    for (let index = 0; index < 1000; index++) {
      paths.add(`${index}/${deep}`);
      paths.add(`${index}/${deep.replace("f", "g")}`);
    }
    const { length } = grown.mock.calls;
    grown.mockRestore();
    expect(length).toBeLessThan(2000 * 4);
    expect(() => paths.add(`7/${deep.toUpperCase()}`)).toThrow(expect.objectContaining({ code: "ENTRY_EXISTS" }));
    expect(() => paths.add("999/b/b")).toThrow(expect.objectContaining({ code: "ENTRY_EXISTS" }));
  });

  it("lets lie together on disk what it accepted", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(goodPath, { maxLength: 12 }), async (names) => {
        const set = new PathSet();
        const accepted = names.filter((name) => {
          try {
            set.add(name);
            return true;
          } catch {
            return false;
          }
        });
        const root = path.join(folder, String(count++));
        await mkdir(root);
        for (const name of accepted) await store(root, name);
        expect(await filesBelow(root)).toEqual([...accepted].sort());
      }),
      { numRuns: 60 },
    );
  });

  it.each([
    ["an exact duplicate", "a/b", "a/b"],
    ["another case", "a/b", "a/B"],
    ["another case of a folder", "a/b", "A/c"],
    ["another normal form", "caf\u00e9", "cafe\u0301"],
    ["sharp s", "ma\u00dfe", "MASSE"],
    ["a ligature", "\ufb01x", "fix"],
    ["the Kelvin sign", "\u212a", "k"],
    ["fullwidth letters", "\uff41", "a"],
    ["a variation selector", "☀️/b", "☀/c"],
    ["a file where a folder is", "a/b", "a"],
    ["a folder where a file is", "a", "a/b"],
    ["a folder where a file of another case is", "A", "a/b"],
    ["a deep folder where a file is", "a/b", "a/b/c/d"],
  ])("refuses %s as ENTRY_EXISTS and names both", (_, first, second) => {
    const paths = new PathSet();
    paths.add(first);
    let thrown: unknown;
    try {
      paths.add(second);
    } catch (error) {
      thrown = error;
    }
    if (!isSnapshotError(thrown, "ENTRY_EXISTS")) {
      throw new Error("it was not refused as ENTRY_EXISTS", { cause: thrown });
    }
    expect(thrown.details.path).toBe(second);
    expect([first, first.split("/")[0]]).toContain(thrown.details.existing);
    expect(thrown.message).toContain(`"${second}"`);
  });

  it("refuses an unsafe path as ENTRY_PATH_UNSAFE with the reason", () => {
    expect(() => new PathSet().add("a/../b")).toThrow(
      expect.objectContaining({
        code: "ENTRY_PATH_UNSAFE",
        details: { path: "a/../b", reason: expect.stringContaining('".."') },
      }),
    );
  });
});

describe("names of states and snapshots", () => {
  it.each(["model", "a b", "replay-buffer.v2", "重み", "x".repeat(200)])("accepts %j", (name) => {
    expect([faultOfStateName(name), faultOfSnapshotName(name)]).toEqual([undefined, undefined]);
    assertStateName(name);
    assertSnapshotName(name);
  });

  it.each([
    "",
    ".",
    "..",
    ".hidden",
    "a/b",
    "a/",
    "/a",
    "a\\b",
    "C:",
    "NUL",
    "a.",
    "a\u202eb",
    "manifest.json",
    "Manifest.JSON",
    "\uff4danifest.json",
    "stargz.index.json",
    "STARGZ.index.json",
  ])("refuses %j as NAME_UNSAFE", (name) => {
    for (const assert of [assertStateName, assertSnapshotName]) {
      expect(() => assert(name)).toThrow(
        expect.objectContaining({ code: "NAME_UNSAFE", details: expect.objectContaining({ name }) }),
      );
    }
  });

  it.each(["x.state.tar.gz", "x.tar", "x.TAR.Zst", "x.tar.g\uff5a"])(
    "refuses %j for a snapshot: in storage it would be another, and in another layout",
    (name) => {
      expect(faultOfSnapshotName(name)).toContain("layout");
      expect(faultOfStateName(name)).toBeUndefined();
    },
  );

  it("are cut where messages quote them and they are longer than any may be", () => {
    const huge = "x".repeat(1_000_000);
    for (const assert of [assertStateName, assertSnapshotName, (name: string) => new PathSet().add(name)]) {
      expect(() => assert(huge)).toThrow(expect.objectContaining({ message: expect.stringMatching(/^[^]{100,300}$/) }));
    }
  });

  it("refuses snapshot names of more than 200 bytes, which leave no room for what backends put around them", () => {
    expect(faultOfSnapshotName("é".repeat(101))).toContain("200 bytes");
    expect(faultOfStateName("é".repeat(101))).toBeUndefined();
  });
});
