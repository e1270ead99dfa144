// Programs that are not ours read our archives, and we read theirs: GNU tar, bsdtar, busybox and Python, as they are
// installed.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Buffer } from "node:buffer";
import process from "node:process";
import { promisify } from "node:util";
import { fileBackend, locate, memoryBackend, type SnapshotLocator, StateStore } from "snapkeep";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasZstd } from "../fuzz/members.ts";
import { isLong } from "../torture/budget.ts";
import { bytesOf, digests, filesOf, noise, pattern, sha256, storeOf, TreeState } from "./samples.ts";

const exec = promisify(execFile);
const repository = path.resolve(import.meta.dirname, "../..");

/** The part of Bun's own archives that is used here. */
type BunArchive = new (files: Record<string, Uint8Array>, options: { compress: "gzip" }) => {
  bytes(): Promise<Uint8Array>;
};

const states = {
  "model": {
    "weights.bin": noise(isLong ? 2_500_000 : 300_000),
    "config.json": '{"layers":3}',
    "empty": "",
    "512.bin": pattern(512),
    [`${"deep/".repeat(12)}${"n".repeat(100)}.txt`]: "beyond 100 bytes",
    [`${"p".repeat(200)}`]: "beyond ustar",
  },
  "Zustände": { "größe.txt": "ß", "データ/重み.bin": noise(700), "with space and 'quote'": "x", "-dash": "y" },
};
// The weights are in several chunks also where they are small.
const ARCHIVE = isLong ? {} : { chunkBytes: 131_072 };
const short = { a: { "one.txt": "one", "two/two.bin": noise(1500), "empty": "" } };

async function works(command: string, ...args: string[]): Promise<boolean> {
  try {
    await exec(command, args);
    return true;
  } catch {
    return false;
  }
}

const tools = {
  "GNU tar": await works("tar", "--version") && (await exec("tar", ["--version"])).stdout.includes("GNU tar"),
  "bsdtar": await works("bsdtar", "--version"),
  "python3": await works("python3", "-c", "import tarfile"),
  "busybox": await works("busybox", "tar", "--help"),
  "npm": await works("node", "--version"),
  "pzstd": await works("pzstd", "-V") && await works("bsdtar", "--version") && hasZstd,
};
for (const [name, isThere] of Object.entries(tools)) {
  if (!isThere) console.warn(`skipped what needs ${name}: it is not installed`);
}

/** The option that busybox needs for an archive: it does not look by itself. */
const zip = (archive: string) => archive.endsWith(".gz") ? "z" : "";

/** Lists and extracts with Python, in a way that its old and new versions know. */
const PYTHON = `
import sys, tarfile
archive, folder = sys.argv[1:]
with tarfile.open(archive) as tar:
    tar.extractall(folder)
    sys.stdout.buffer.write("\\n".join(tar.getnames()).encode("utf-8"))
`;
const PYTHON_MAKE = `
import sys, tarfile
archive, folder, form = sys.argv[1:]
with tarfile.open(archive, "w:gz", format=getattr(tarfile, form)) as tar:
    tar.add(folder, arcname=".")
`;
const env = { ...process.env, LC_ALL: "C.UTF-8", PYTHONUTF8: "1" };

interface Reader {
  readonly tool: keyof typeof tools;
  list(archive: string, folder: string): Promise<string[]>;
}

const lines = (text: string) => text.split("\n").filter((line) => line !== "");
const readers: readonly Reader[] = [
  {
    tool: "GNU tar",
    async list(archive, folder) {
      await exec("tar", ["xzf", archive, "-C", folder], { env });
      return lines((await exec("tar", ["tzf", archive, "--quoting-style=literal"], { env })).stdout);
    },
  },
  {
    tool: "bsdtar",
    async list(archive, folder) {
      await exec("bsdtar", ["-xf", archive, "-C", folder], { env });
      return lines((await exec("bsdtar", ["-tf", archive], { env })).stdout);
    },
  },
  {
    tool: "busybox",
    async list(archive, folder) {
      await exec("busybox", ["tar", `x${zip(archive)}f`, archive, "-C", folder], { env });
      return lines((await exec("busybox", ["tar", `t${zip(archive)}f`, archive], { env })).stdout);
    },
  },
  {
    tool: "python3",
    async list(archive, folder) {
      return lines((await exec("python3", ["-c", PYTHON, archive, folder], { env })).stdout);
    },
  },
];

let root: string;
let ours: SnapshotLocator;
let directory: SnapshotLocator;
let count = 0;

async function folder(): Promise<string> {
  const made = path.join(root, `folder ${++count}`);
  await mkdir(made);
  return made;
}

/** Everything in a folder, by path; symlinks and the like would fail to be read. */
async function filesIn(top: string): Promise<Map<string, Uint8Array>> {
  const entries = await readdir(top, { recursive: true, withFileTypes: true });
  const found = new Map<string, Uint8Array>();
  for (const entry of entries) {
    if (entry.isDirectory()) continue;
    const full = path.join(entry.parentPath, entry.name);
    found.set(path.relative(top, full).split(path.sep).join("/"), await readFile(full));
  }
  return found;
}

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "snapkeep-interop-"));
  const backend = fileBackend(path.join(root, "states"), { durability: "none" });
  ours = await storeOf(states, { backend, archive: ARCHIVE }).saveState();
  directory = await ours.exportTo(path.join(root, "as directory"));
});

afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

/** Loads a snapshot, and says whether it holds the states. */
async function loads(from: string | SnapshotLocator, wanted: typeof states | typeof short): Promise<void> {
  const names = Object.keys(wanted);
  const loaded = names.map((name) => [name, new TreeState({})] as const);
  const store = new StateStore(memoryBackend());
  for (const [name, state] of loaded) store.register(name, state);
  await store.loadState(from);
  for (const [name, state] of loaded) {
    const tree = (wanted as Record<string, Record<string, string | Uint8Array>>)[name] ?? {};
    expect(digests(state.loaded)).toEqual(digests(tree));
  }
}

describe("our archive", () => {
  for (const { tool, list } of readers) {
    it.skipIf(!tools[tool])(`is listed and extracted by ${tool}, byte for byte`, async () => {
      const target = await folder();
      const listed = await list(String(ours), target);
      const files = filesOf(states);
      expect(listed).toEqual([...files.keys(), "manifest.json", "stargz.index.json"]);
      const found = await filesIn(target);
      expect([...found.keys()].sort()).toEqual([...listed].sort());
      for (const [name, bytes] of files) expect(sha256(found.get(name) ?? "missing")).toBe(sha256(bytes));
    });

    it.skipIf(!tools[tool])(`extracted by ${tool} is a directory snapshot as it is`, async () => {
      const target = await folder();
      await readers.find((reader) => reader.tool === tool)?.list(String(ours), target);
      expect(await locate(target).verify()).toMatchObject({ isWhole: true, findings: [] });
      await loads(target, states);
    });

    it.skipIf(!tools[tool])(`without compression is extracted by ${tool} too`, async () => {
      const plain = await ours.exportTo(path.join(root, `plain for ${tool}.tar`));
      const target = await folder();
      if (tool === "GNU tar") await exec("tar", ["xf", String(plain), "-C", target], { env });
      else await list(String(plain), target);
      await loads(target, states);
    });
  }

  it.skipIf(!tools["GNU tar"])(
    "has files of mode 0644 with owner and group 0, of the snapshot's time",
    async () => {
      const { stdout } = await exec("tar", ["tvzf", String(ours), "--utc", "--full-time", "--numeric-owner"], { env });
      for (const line of lines(stdout)) expect(line).toMatch(/^-rw-r--r-- 0\/0 +\d+ 2026-02-03 04:05:06 /);
    },
  );
});

describe("a directory snapshot packed by others", () => {
  const packers: [keyof typeof tools, string, (archive: string, from: string) => [string, string[]]][] = [
    ["GNU tar", "as it is", (archive, from) => ["tar", ["czf", archive, "-C", from, "."]]],
    [
      "GNU tar",
      "in the format of POSIX",
      (archive, from) => ["tar", ["czf", archive, "--format=posix", "-C", from, "."]],
    ],
    ["GNU tar", "in its own format", (archive, from) => ["tar", ["czf", archive, "--format=gnu", "-C", from, "."]]],
    ["GNU tar", "without compression", (archive, from) => ["tar", ["cf", archive, "-C", from, "."]]],
    ["GNU tar", "in order of names", (archive, from) => ["tar", ["czf", archive, "--sort=name", "-C", from, "."]]],
    ["bsdtar", "as it is", (archive, from) => ["bsdtar", ["-czf", archive, "-C", from, "."]]],
    [
      "bsdtar",
      "with all PAX can say",
      (archive, from) => ["bsdtar", ["-czf", archive, "--format=pax", "-C", from, "."]],
    ],
    [
      "bsdtar",
      "in the format of GNU",
      (archive, from) => ["bsdtar", ["-czf", archive, "--format=gnutar", "-C", from, "."]],
    ],
    ["busybox", "as it is", (archive, from) => ["busybox", ["tar", "czf", archive, "-C", from, "."]]],
    ["python3", "with PAX", (archive, from) => ["python3", ["-c", PYTHON_MAKE, archive, from, "PAX_FORMAT"]]],
    [
      "python3",
      "in the format of GNU",
      (archive, from) => ["python3", ["-c", PYTHON_MAKE, archive, from, "GNU_FORMAT"]],
    ],
  ];
  // Shell scripts that are given the archive and the folder.
  const scripts: readonly [keyof typeof tools, string, string][] = [
    ["GNU tar", "with access times", 'find . -type f | tar -czf "$1" --format=gnu -g "$1.snar" -T -'],
    ["GNU tar", "in its old format", 'tar -czf "$1" --format=oldgnu --numeric-owner .'],
    ["GNU tar", "with times before 1970", 'tar -czf "$1" --format=gnu --mtime=@-5 .'],
    ["GNU tar", "with huge owners", 'tar -czf "$1" --format=gnu --owner=x:4000000000 --group=y:4000000000 .'],
    ["GNU tar", "with SELinux", 'tar -czf "$1" --format=posix --pax-option=RHT.security.selinux:=a:b:c:s0 .'],
    ["GNU tar", "with a label", 'tar -czf "$1" --format=posix --label=weekly .'],
    ["GNU tar", "for incremental backups", 'tar -czf "$1" --format=posix --listed-incremental="$1.snar" .'],
    ["GNU tar", "with global headers", 'tar -czf "$1" --format=posix --pax-option=comment=x,SCHILY.release=1 .'],
    ["bsdtar", "with a huge owner", 'bsdtar -czf "$1" --uid 3000000 --gid 3000000 .'],
    ["bsdtar", "with a huge owner in the format of GNU", 'bsdtar -czf "$1" --format=gnutar --uid 3000000 .'],
    ["bsdtar", "through a pipe", 'bsdtar -czf - . | cat > "$1"'],
    ["pzstd", "in frames", 'bsdtar -cf - . | pzstd -q -c > "$1"'],
  ];
  for (const [tool, how, script] of scripts) {
    packers.push([tool, how, (archive, from) => ["sh", ["-c", `cd "$2" && ${script}`, "sh", archive, from]]]);
  }
  const pack = path.join(repository, "test/children/pack_folder.mjs");
  for (
    const how of [
      "tar",
      "tar, portable",
      "tar-fs",
      "tar-stream",
      "archiver",
      "modern-tar",
      "modern-tar of a folder",
    ]
  ) packers.push(["npm", how, (archive, from) => ["node", [pack, how, from, archive]]]);
  let index = 0;
  for (const [tool, how, command] of packers) {
    it.skipIf(!tools[tool])(`by ${tool} ${how} imports and loads`, async () => {
      const archive = path.join(root, `packed ${++index}${how.startsWith("without") ? ".tar" : ".tar.gz"}`);
      await exec(...command(archive, String(directory)), { env });
      await loads(archive, states);
      expect(await locate(archive).verify()).toMatchObject({ isWhole: true, findings: [] });
      const store = storeOf({}, { backend: memoryBackend(), archive: ARCHIVE });
      const imported = await store.importSnapshot(archive);
      expect(imported.name).toBe(ours.name);
      expect(sha256(await bytesOf(imported.stream({ layout: "tar.gz", archive: ARCHIVE })))).toBe(
        sha256(await readFile(String(ours))),
      );
    });
  }

  const shortPackers: typeof packers = [
    ["GNU tar", "as ustar", (archive, from) => ["tar", ["czf", archive, "--format=ustar", "-C", from, "."]]],
    ["bsdtar", "as ustar", (archive, from) => ["bsdtar", ["-czf", archive, "--format=ustar", "-C", from, "."]]],
    ["GNU tar", "as v7", (archive, from) => ["tar", ["czf", archive, "--format=v7", "-C", from, "."]]],
    ["bsdtar", "as v7", (archive, from) => ["bsdtar", ["-czf", archive, "--format=v7tar", "-C", from, "."]]],
    [
      "GNU tar",
      "as v7 without compression",
      (archive, from) => ["tar", ["cf", archive, "--format=v7", "-C", from, "."]],
    ],
    ["python3", "as ustar", (archive, from) => ["python3", ["-c", PYTHON_MAKE, archive, from, "USTAR_FORMAT"]]],
  ];
  for (const [tool, how, command] of shortPackers) {
    it.skipIf(!tools[tool])(`by ${tool} ${how} imports and loads`, async () => {
      const from = await (await storeOf(short).saveState()).exportTo(path.join(root, `short for ${tool} ${how}`));
      const archive = path.join(root, `short by ${tool} ${how}.tar.gz`);
      await exec(...command(archive, String(from)), { env });
      await loads(archive, short);
    });
  }

  it.skipIf(!tools["GNU tar"])("with another tool's compression level, and in members, loads", async () => {
    const plain = path.join(root, "for members.tar");
    await exec("tar", ["cf", plain, "-C", String(directory), "."], { env });
    const whole = await readFile(plain);
    const { gzipSync } = await import("node:zlib");
    const members = [0, 1, 2].map((third) =>
      whole.subarray(third * 1_000_000, third === 2 ? undefined : (third + 1) * 1_000_000)
    );
    const archive = path.join(root, "members.tar.gz");
    await writeFile(archive, Buffer.concat(members.map((member, level) => gzipSync(member, { level: level * 4 + 1 }))));
    await loads(archive, states);
  });

  it.skipIf(!tools["GNU tar"])("together with its folder is no snapshot, and the error says so", async () => {
    const archive = path.join(root, "with its folder.tar.gz");
    await exec("tar", ["czf", archive, "-C", root, path.basename(String(directory))], { env });
    const store = new StateStore(memoryBackend());
    const { findings } = await locate(archive).verify();
    for (
      const told of [await store.importSnapshot(archive).catch((error: Error) => error.message), findings[0]?.actual]
    ) {
      expect(told).toContain(`manifest.json lies under "${path.basename(String(directory))}/"; pack from within`);
    }
    await expect(store.importSnapshot(archive)).rejects.toMatchObject({ code: "MANIFEST_MISSING" });
  });

  it.skipIf(!("Bun" in globalThis))("by Bun imports and loads", async () => {
    const { Archive } = (globalThis as unknown as { Bun: { Archive: BunArchive } }).Bun;
    const files = Object.fromEntries(await filesIn(String(directory)));
    const packed = await new Archive(files, { compress: "gzip" }).bytes();
    const archive = path.join(root, "by Bun.tar.gz");
    await writeFile(archive, packed);
    await loads(archive, states);
  });

  it("with what desktops leave in folders is whole, loads and imports, packed and as it is", async () => {
    const saved = await storeOf(short, { backend: memoryBackend() }).saveState();
    const target = await saved.exportTo(path.join(root, "visited by desktops"));
    const left = [".DS_Store", "._a", "a/.DS_Store", "a/._one.txt", "a/two/Thumbs.db", "a/two/Desktop.ini"];
    for (const name of left) await writeFile(path.join(String(target), name), name);
    const archive = path.join(root, "visited by desktops.tar.gz");
    await exec("tar", ["czf", archive, "-C", String(target), "."], { env });
    for (const place of [String(target), archive]) {
      for (const mode of ["quick", "full"] as const) {
        expect(await locate(place).verify({ mode })).toMatchObject({ isWhole: true, findings: [] });
      }
      await loads(place, short);
      const imported = await new StateStore(memoryBackend()).importSnapshot(place);
      expect(await imported.verify()).toMatchObject({ isWhole: true, entries: 3 });
    }
    await writeFile(path.join(String(target), "a/thumbs.db.txt"), "other");
    expect(await locate(String(target)).verify()).toMatchObject({
      findings: [{ step: "inventory", problem: "extra", path: "a/thumbs.db.txt" }],
    });
  });
});

describe("from directory to archive and back", () => {
  it("is the same to the byte, the manifest too", async () => {
    const backend = fileBackend(path.join(root, "round"), { durability: "none" });
    const saved = await storeOf(states, { backend, layout: "directory" }).saveState();
    const archive = await saved.exportTo(path.join(root, "round trip.tar.gz"));
    const back = await archive.exportTo(path.join(root, "round trip"));
    const [before, after] = [await filesIn(String(saved)), await filesIn(String(back))];
    expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
    for (const [name, bytes] of before) expect(sha256(after.get(name) ?? "missing"), name).toBe(sha256(bytes));
    const again = await back.exportTo(path.join(root, "round trip 2.tar.gz"));
    expect(sha256(await readFile(String(again)))).toBe(sha256(await readFile(String(archive))));
  });
});
