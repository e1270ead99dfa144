// What each command prints and how it ends, as golden outputs: the built binary as a child process, without a terminal.
import { mkdir, readdir, readFile, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { locate, StateStore } from "snapkeep";
import { bytesState } from "snapkeep/states";
import { describe, expect, it } from "vitest";
import { leftoversIn } from "../../src/file/leftovers.ts";
import { temporaryFolder } from "../backend/temporary.ts";
import { fill, golden, snapkeep, snapkeepBytes } from "./snapkeep.ts";

const json = (text: string) => JSON.parse(text) as Record<string, unknown>;
const lines = (text: string) => text.trim().split("\n").map(json);
const at = async (folder: string, index: number) => (await new StateStore(folder).list()).at(index)?.name ?? "";

describe("snapkeep list", () => {
  it("prints snapshots, oldest first, with sizes, ages and labels", async () => {
    const folder = await temporaryFolder();
    await fill(folder, {
      labels: (step) => step === 2 ? { tags: ["good"], metrics: { loss: 0.5 }, remark: "x", pinned: true } : { step },
    });
    const { code, stdout, stderr } = await snapkeep(["list", "-s", folder]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(golden(stdout)).toMatchInlineSnapshot(`
      "NAME                              AGE      SIZE  STATES  LAYOUT     LABELS
      2026-01-02_03-04-05,000001.state   3h    1019 B       2  directory  step=1
      2026-01-02_03-04-05,000002.state   2h  1.97 KiB       2  directory  pinned @good loss=0.5 "x"
      2026-01-02_03-04-05,000003.state   1h  2.96 KiB       2  directory  step=3
      "
    `);
  });

  it("prints everything exactly as JSON", async () => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 1 });
    const { snapshots, store, hidden } = json((await snapkeep(["--json", "list", "-s", folder])).stdout);
    expect({ store, hidden }).toEqual({ store: folder, hidden: 0 });
    expect(snapshots).toMatchObject([{
      status: "complete",
      layouts: ["directory"],
      sizeBytes: 1000 + 19,
      states: 2,
      entries: 2,
      program: "trainer",
      run: "run-1",
      labels: { step: 1 },
      pinned: false,
    }]);
  });

  it("lists with --all what is damaged, partial, unfinished or foreign, and says without it how many there are", async () => {
    const folder = await temporaryFolder();
    const store = await fill(folder);
    await writeFile(path.join(folder, await at(folder, 0), "manifest.json"), "{}");
    const partial = path.join(folder, await at(folder, 1));
    await rm(path.join(partial, "manifest.json"));
    await mkdir(path.join(folder, "other"));
    const stage = await store.backend.stage("2030-01-01_00-00-00,000000.state/");
    const some = await snapkeep(["list", "-s", folder]);
    expect(some.stdout.split("\n").length).toBe(3);
    expect(some.stderr).toBe(
      "Not listed: 1 damaged, 1 partial, 1 unfinished, 1 foreign. To see them: snapkeep list --all\n",
    );
    const { stdout } = await snapkeep(["list", "--all", "-s", folder]);
    for (const status of ["complete", "damaged", "partial", "unfinished", "foreign"]) expect(stdout).toContain(status);
    const all = json((await snapkeep(["list", "--all", "--json", "-s", folder])).stdout);
    expect((all["snapshots"] as { status: string }[]).map(({ status }) => status).sort())
      .toEqual(["complete", "damaged", "foreign", "partial", "unfinished"]);
    await stage.abandon();
  });

  it("reads SNAPKEEP_STORE, and refuses a folder that does not exist", async () => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 1 });
    expect((await snapkeep(["list"], { env: { SNAPKEEP_STORE: folder } })).code).toBe(0);
    expect((await snapkeep(["list"], { env: { SNAPKEEP_STORE: "" } })).code).toBe(2);
    const { code, stderr } = await snapkeep(["list", "-s", path.join(folder, "missing")]);
    expect([code, stderr]).toEqual([2, expect.stringContaining("there is no folder")]);
  });
});

describe("snapkeep show, top, history, cat", () => {
  it("show prints facts and entries", async () => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 2 });
    const { code, stdout } = await snapkeep(["show", "latest", "-s", folder]);
    expect(code).toBe(0);
    expect(golden(stdout, folder)).toMatchInlineSnapshot(`
      "name     2026-01-02_03-04-05,000001.state
      address  /states/2026-01-02_03-04-05,000001.state
      layout   directory
      saved    2026-01-02T03:04:05.000Z (1h ago)
      size     1.97 KiB in 2 entries of 2 states
      program  trainer
      run      run-1
      parent   none: the run did not resume
      labels   step=2
      library  snapkeep 0.1.0

      ENTRY                  SIZE  SHA-256
      run/                   21 B
      run/run.json           21 B  81df515237da7c034d7f8f6c3578f3d1723956feeee2cfc80e5d03207909c89a
      model/             1.95 KiB
      model/weights.bin  1.95 KiB  0c70022fc37e6c83977f93693650a2e68963551acfdf512828018fdb4988a492
      "
    `);
    expect(json((await snapkeep(["show", "latest", "-s", folder, "--json"])).stdout)).toMatchObject({
      layout: "directory",
      program: "trainer",
      totals: { states: 2 },
    });
  });

  it("top prints what is large, and what grew since another one", async () => {
    const folder = await temporaryFolder();
    await fill(folder);
    const { stdout } = await snapkeep(["top", "latest", "--since", "latest~2", "-s", folder]);
    expect(golden(stdout)).toMatchInlineSnapshot(`
      "          PATH                   SIZE      GROWN
      snapshot  all                2.96 KiB  +1.97 KiB
      state     model              2.93 KiB  +1.95 KiB
      state     run                    36 B      +17 B
      entry     model/weights.bin  2.93 KiB  +1.95 KiB
      entry     run/run.json           36 B      +17 B
      since 2026-01-02_03-04-05,000001.state
      "
    `);
    expect((await snapkeep(["top", "latest", "-s", folder])).stderr).toContain("has no parent: its run did not resume");
    const { code, stderr } = await snapkeep(["top", "latest", "-n", "x", "-s", folder]);
    expect([code, stderr]).toEqual([2, expect.stringContaining("whole number")]);
  });

  it("top compares with the parent", async () => {
    const folder = await temporaryFolder();
    const store = await fill(folder, { count: 1 });
    const [parent] = await store.list();
    const child = new StateStore(folder).register("run", {
      saveState: (out) => out.json("run.json", "much longer than before"),
      loadState: () => {},
    });
    await child.loadState(String(parent), { allowExtra: true } as never).catch(() => {});
    await child.resume();
    await child.saveState();
    const { since } = json((await snapkeep(["top", "latest", "--json", "-s", folder])).stdout);
    expect(since).toBe(parent?.name);
  });

  it("history prints the changes of an entry", async () => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 4, value: (step) => Math.floor(step / 2) });
    const { code, stdout, stderr } = await snapkeep(["history", "run/run.json", "-s", folder]);
    expect([code, stderr]).toEqual([0, "3 changes in 4 snapshots\n"]);
    expect(golden(stdout).replaceAll(/[0-9a-f]{64}/g, "<digest>")).toMatchInlineSnapshot(`
      "SNAPSHOT                          AGE  CHANGE   SIZE  SHA-256
      2026-01-02_03-04-05,000001.state   4h  added     1 B  <digest>
      2026-01-02_03-04-05,000002.state   3h  changed   1 B  <digest>
      2026-01-02_03-04-05,000003.state   1h  changed   1 B  <digest>
      "
    `);
    const wrong = await snapkeep(["history", "run/rnu.json", "-s", folder]);
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining('the nearest is "run/run.json"')]);
  });

  it.each(["directory", "tar.gz"] as const)("cat prints the exact bytes of an entry of a %s", async (layout) => {
    const folder = await temporaryFolder();
    await fill(folder, { layout, bytes: () => Uint8Array.from({ length: 200_000 }, (_, index) => index % 251) });
    const { code, stdout } = await snapkeepBytes(["cat", "latest", "model/weights.bin", "-s", folder]);
    expect(code).toBe(0);
    expect(stdout).toEqual(Uint8Array.from({ length: 200_000 }, (_, index) => index % 251));
    const missing = await snapkeep(["cat", "latest", "model/weight.bin", "-s", folder]);
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining('"model/weights.bin"')]);
    const { encoding, data } = json((await snapkeep(["cat", "latest", "run/run.json", "-s", folder, "--json"])).stdout);
    expect([encoding, JSON.parse(data as string)]).toEqual(["utf8", { step: 3, loss: 1 / 3 }]);
  });

  it("cat ends with 4 if the entry is damaged", async () => {
    const folder = await temporaryFolder();
    await fill(folder);
    await writeFile(path.join(folder, await at(folder, -1), "run/run.json"), '{"step":9,"loss":0.3333333333333333}');
    expect((await snapkeep(["cat", "latest", "run/run.json", "-s", folder])).code).toBe(4);
  });
});

describe("snapkeep diff", () => {
  it("compares the newest two, with the places within JSON", async () => {
    const folder = await temporaryFolder();
    await fill(folder, { value: (step) => ({ step, layers: [{ bias: 0 }, { bias: step }], note: "same" }) });
    const { code, stdout, stderr } = await snapkeep(["diff", "-s", folder]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(golden(stdout)).toMatchInlineSnapshot(`
      "--- 2026-01-02_03-04-05,000001.state
      +++ 2026-01-02_03-04-05,000002.state
      ~ run/  57 B (same size)
        ~ run/run.json  57 B (same size)
            ~ $.step: 2 -> 3
            ~ $.layers[1].bias: 2 -> 3
      ~ model/  2.93 KiB (+1000 B)
        ~ model/weights.bin  2.93 KiB (+1000 B)
      "
    `);
    const { states } = json((await snapkeep(["diff", "latest~1", "latest", "--json", "-s", folder])).stdout) as {
      states: { entries: { json?: unknown }[] }[];
    };
    expect(states[0]?.entries[0]?.json).toEqual({
      changes: [
        { path: "$.step", change: "changed", before: 2, after: 3 },
        { path: "$.layers[1].bias", change: "changed", before: 2, after: 3 },
      ],
      more: 0,
    });
    expect((await snapkeep(["diff", "--no-values", "-s", folder])).stdout).not.toContain("$.step");
    expect((await snapkeep(["diff", "latest", "latest", "-s", folder])).stderr).toContain("the same states");
  });
});

describe("snapkeep verify", () => {
  it("finds a damaged byte, and ends with 4", async () => {
    const folder = await temporaryFolder();
    await fill(folder);
    expect((await snapkeep(["verify", "-s", folder])).code).toBe(0);
    const file = path.join(folder, await at(folder, 1), "model/weights.bin");
    const bytes = await readFile(file);
    bytes[7] = (bytes[7] ?? 0) ^ 1;
    await writeFile(file, bytes);
    expect((await snapkeep(["verify", "--quick", "-s", folder])).code).toBe(0);
    const { code, stdout, stderr } = await snapkeep(["verify", "-s", folder]);
    expect([code, stderr]).toEqual([4, "3 verified, 1 damaged\n"]);
    expect(golden(stdout).replaceAll(/[0-9a-f]{64}/g, "<digest>")).toMatchInlineSnapshot(`
      "ok       2026-01-02_03-04-05,000001.state  2 entries, 1019 B
      DAMAGED  2026-01-02_03-04-05,000002.state
               content: model/weights.bin is damaged: expected sha256:<digest>, found sha256:<digest>
      ok       2026-01-02_03-04-05,000003.state  2 entries, 2.96 KiB
      "
    `);
    expect((await snapkeep(["verify", "latest", "-s", folder])).code).toBe(0);
    const reports = lines((await snapkeep(["verify", "--json", "-s", folder])).stdout);
    expect(reports.map(({ type }) => type)).toEqual(["report", "report", "report", "summary"]);
    expect(reports[3]).toEqual({ type: "summary", snapshots: 3, damaged: 1, unreadable: 0 });
  });
});

describe("snapkeep verify of", () => {
  it("a place without snapshots says that there are none", async () => {
    const folder = await temporaryFolder();
    const { code, stderr } = await snapkeep(["verify", "-s", folder]);
    expect([code, stderr]).toEqual([0, `There are no snapshots in "${folder}".\n`]);
  });

  it("an archive that ends early says so", async () => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 1, layout: "tar.gz" });
    await truncate(path.join(folder, `${await at(folder, 0)}.tar.gz`), 100);
    const { code, stdout } = await snapkeep(["verify", "-s", folder]);
    expect([code, stdout]).toEqual([
      4,
      expect.stringMatching(/^ +manifest: manifest\.json is damaged: Cannot read the archive .*TRUNCATED/m),
    ]);
  });
});

describe("the name of a snapshot", () => {
  it("is a name, its beginning, latest, a tag, a path or a URL", async () => {
    const folder = await temporaryFolder();
    const store = await fill(folder, { labels: (step) => ({ tags: step < 3 ? ["nightly"] : [] }) });
    const [first, second, third] = await store.list();
    const nameOf = async (text: string, more: string[] = ["-s", folder], cwd = folder) => {
      const { code, stdout, stderr } = await snapkeep(["label", text, "--json", ...more], { cwd });
      return code === 0 ? json(stdout)["name"] : `${code} ${stderr}`;
    };
    expect(await nameOf("latest")).toBe(third?.name);
    expect(await nameOf("latest~1")).toBe(second?.name);
    expect(await nameOf("latest~2")).toBe(first?.name);
    expect(await nameOf("@nightly")).toBe(second?.name);
    expect(await nameOf("@nightly~1")).toBe(first?.name);
    expect(await nameOf(first?.name ?? "")).toBe(first?.name);
    expect(await nameOf((first?.name ?? "").slice(0, 16))).toBe(first?.name);
    expect(await nameOf(String(first), [])).toBe(first?.name);
    expect(await nameOf(`./${first?.name}`, [])).toBe(first?.name);
    expect(await nameOf(first?.name ?? "", [])).toBe(first?.name);
    expect(await nameOf(first?.uri ?? "", [])).toBe(first?.name);
    expect(await nameOf("20")).toMatch(/^2 .*beginning of 3 names/);
    expect(await nameOf("latest~3")).toMatch(/^1 .*only 2 before/);
    expect(await nameOf("latest~x")).toMatch(/^1 .*Cannot find/);
    expect(await nameOf("@nigthly")).toMatch(/^1 .*nearest tag is .*@nightly/);
    expect(await nameOf("latest", [])).toMatch(/^2 .*SNAPKEEP_STORE/);
    expect(await nameOf("missing/X.state", [])).toMatch(/^1 .*no such file or folder/);
    expect(await nameOf(`./${first?.name}x`, [])).toMatch(new RegExp(`the nearest is .*${first?.name}`));
    expect(await nameOf("lastet")).toMatch(/^1 .*nearest name is \\?"latest/);
    expect(await nameOf("unlike")).toMatch(/^1 .*snapkeep list/);
    expect(await nameOf(".", [])).toMatch(/^2 .*a folder of 3 snapshots/);
    await second?.label({ tags: ["rc~1", "runs/7"] });
    expect(await nameOf("@rc~1")).toBe(second?.name);
    expect(await nameOf("@rc~1~1")).toBe(first?.name);
    expect(await nameOf("@runs/7")).toBe(second?.name);
    expect(await nameOf("@runs/8")).toMatch(/^1 .*nearest tag is .*@runs\/7/);
  });

  it("of another format needs --name-format for latest", async () => {
    const folder = await temporaryFolder();
    await new StateStore(folder, { stateNameFormat: "snap-%Y%m%dT%H%M%S%f" }).saveState();
    expect((await snapkeep(["show", "latest", "-s", folder])).stderr).toContain("--name-format");
    expect((await snapkeep(["show", "latest", "-s", folder, "--name-format", "snap-%Y%m%dT%H%M%S%f"])).code).toBe(0);
    expect((await snapkeep(["show", "snap-", "-s", folder])).code).toBe(0);
  });
});

describe("snapkeep export and import", () => {
  it("move a snapshot through a pipe, and through a file", async () => {
    const [folder, other] = [await temporaryFolder(), await temporaryFolder()];
    await fill(folder);
    const { stdout } = await snapkeepBytes(["export", "latest", "-s", folder]);
    const piped = await snapkeep(["import", "-", "-s", path.join(other, "new")], { input: stdout });
    expect([piped.code, piped.stdout, piped.stderr]).toEqual([0, `${await at(folder, -1)}\n`, ""]);
    expect((await snapkeep(["verify", "-s", path.join(other, "new")])).code).toBe(0);
    const file = path.join(other, "x.tar.gz");
    const exported = await snapkeep(["export", "latest~1", "-s", folder, "-o", file]);
    expect([exported.code, exported.stdout]).toEqual([0, ""]);
    expect(exported.stderr).toMatch(/^exported .* \(\d/);
    expect((await snapkeep(["import", file, "-s", path.join(other, "new"), "--json"])).code).toBe(0);
    const again = await snapkeep(["import", file, "-s", path.join(other, "new")]);
    expect([again.code, again.stderr]).toEqual([
      1,
      expect.stringContaining("exists already; delete it first, or use snapkeep copy"),
    ]);
    expect(
      (await snapkeep([
        "import",
        file,
        String(await new StateStore(folder).latest()),
        "-s",
        path.join(other, "new"),
        "--json",
      ])).code,
    ).toBe(1);
    expect(
      (await snapkeep(["import", file, path.join(folder, await at(folder, 0)), "-s", path.join(other, "new")])).code,
    ).toBe(3);
  });

  it("refuse to overwrite without --force, and replace the file in one step with it", async () => {
    const folder = await temporaryFolder();
    await fill(folder);
    const file = path.join(folder, "x.tar.gz");
    await writeFile(file, "precious");
    const refused = await snapkeep(["export", "latest", "-s", folder, "-o", file]);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("--force")]);
    expect(await readFile(file, "utf8")).toBe("precious");
    expect((await snapkeep(["export", "latest", "-s", folder, "-o", file, "--force"])).code).toBe(0);
    expect((await locate(file).verify()).isWhole).toBe(true);
    expect((await readdir(folder)).filter((name) => name.includes("x.")).sort()).toEqual(["x.tar.gz"]);
  });

  it.each(["x.zip", "x.7z", "x.tar.xz"])("name the endings that are known, and make nothing, for %s", async (name) => {
    const [folder, other] = [await temporaryFolder(), await temporaryFolder()];
    await fill(folder, { count: 1 });
    const { code, stderr } = await snapkeep(["export", "latest", "-s", folder, "-o", path.join(other, name)]);
    expect([code, stderr]).toEqual([
      2,
      expect.stringMatching(/ends with \.tar\.gz, \.tar\.zst or \.tar, not as .*; end the name of a folder with \/\n$/),
    ]);
    expect(await readdir(other)).toEqual([]);
  });

  it("go into a folder that exists, and refuse a folder of snapshots as one", async () => {
    const [folder, other] = [await temporaryFolder(), await temporaryFolder()];
    await fill(folder, { count: 1 });
    expect((await snapkeep(["export", "latest", "-s", folder, "-o", other])).code).toBe(0);
    expect(await readdir(other)).toEqual([await at(folder, 0)]);
    const { code, stderr } = await snapkeep(["import", folder, "-s", other]);
    expect([code, stderr]).toEqual([2, expect.stringContaining("copy --all")]);
  });

  it("leave nothing if what is imported is damaged, and end with 4", async () => {
    const [folder, other] = [await temporaryFolder(), await temporaryFolder()];
    await fill(folder);
    const { stdout } = await snapkeepBytes(["export", "latest", "-s", folder]);
    expect((await snapkeep(["import", "-", "-s", other], { input: stdout.subarray(0, -100) })).code).toBe(4);
    expect(await readdir(other)).toEqual([]);
    const missing = path.join(other, "missing", "states");
    expect((await snapkeep(["import", "-", "-s", missing], { input: stdout.subarray(0, -100) })).code).toBe(4);
    expect((await snapkeep(["import", "-", "-s", missing], { input: Buffer.from("none") })).code).toBe(4);
    expect(await readdir(other)).toEqual([]);
    expect((await snapkeep(["export", "latest", "-s", folder, "--json"])).code).toBe(2);
  });
});

describe("snapkeep copy", () => {
  it("copies what is missing, with labels, and continues when it is run again", async () => {
    const [folder, other] = [await temporaryFolder(), await temporaryFolder()];
    const store = await fill(folder);
    await (await store.latest())?.label({ tags: ["good"] });
    expect((await snapkeep(["copy", "latest~1", "--to", other, "-s", folder])).code).toBe(0);
    const all = await snapkeep(["copy", "--all", "--to", other, "-s", folder]);
    expect([all.code, all.stderr]).toEqual([0, "2 copied, 1 was there\n"]);
    expect(await (await new StateStore(other).latest())?.labels()).toEqual({ step: 3, tags: ["good"] });
    expect(lines((await snapkeep(["copy", "--all", "--to", other, "-s", folder, "--json"])).stdout).at(-1))
      .toEqual({ type: "summary", copied: 0, labeled: 0, present: 3, failed: 0 });
    const both = await snapkeep(["copy", "--all", "latest", "--to", other, "-s", folder]);
    expect([both.code, both.stderr]).toEqual([2, expect.stringContaining("not both")]);
    const manifest = path.join(folder, await at(folder, 0), "manifest.json");
    const file = await snapkeep(["copy", "--all", "--to", manifest, "-s", folder]);
    expect([file.code, file.stderr]).toEqual([2, expect.stringMatching(/not a folder of snapshots\n$/)]);
    expect((await snapkeep(["copy", "latest", "-s", folder])).code).toBe(2);
    expect((await snapkeep(["copy", "--to", other, "-s", folder])).code).toBe(2);
  });

  it("prints the name of the copy where it is another one", async () => {
    const [folder, other] = [await temporaryFolder(), await temporaryFolder()];
    await fill(folder, { count: 1 });
    const [name, file] = [await at(folder, 0), path.join(folder, "best.tar.gz")];
    await locate(path.join(folder, name)).exportTo(file);
    for (const outcome of ["copied ", "present"]) {
      const { stdout } = await snapkeep(["copy", file, "--to", other]);
      expect(stdout).toBe(`${outcome} best as ${name}\n`);
    }
    expect((await snapkeep(["copy", "latest", "--to", other, "-s", folder])).stdout).toBe(`present ${name}\n`);
  });

  it("says when a name is free that a copy held which was killed", async () => {
    const [folder, other] = [await temporaryFolder(), await temporaryFolder()];
    await fill(folder, { count: 2 });
    await writeFile(path.join(other, `.${await at(folder, 0)}.claim`), "");
    const { code, stderr } = await snapkeep(["copy", "--all", "--to", other, "-s", folder]);
    expect([code, stderr]).toEqual([3, expect.stringContaining("the name is free 10m after its last heartbeat")]);
  });

  it("ends with 3 if some cannot be copied", async () => {
    const [folder, other] = [await temporaryFolder(), await temporaryFolder()];
    await fill(folder);
    await writeFile(path.join(folder, await at(folder, 1), "run/run.json"), "damaged");
    const { code, stderr } = await snapkeep(["copy", "--all", "--to", other, "-s", folder]);
    expect([code, stderr]).toEqual([3, expect.stringContaining("1 failed")]);
    expect((await new StateStore(other).list()).length).toBe(2);
  });
});

describe("snapkeep extract", () => {
  it("writes states to folders, and leaves other files alone", async () => {
    const [folder, out] = [await temporaryFolder(), await temporaryFolder()];
    await fill(folder, { layout: "tar.gz" });
    await writeFile(path.join(out, "mine"), "precious");
    expect((await snapkeep(["extract", "latest", "-C", out, "-s", folder])).code).toBe(0);
    expect(JSON.parse(await readFile(path.join(out, "run/run.json"), "utf8"))).toEqual({ step: 3, loss: 1 / 3 });
    expect((await stat(path.join(out, "model/weights.bin"))).size).toBe(3000);
    expect((await readdir(out)).sort()).toEqual(["mine", "model", "run"]);
    const { stdout } = await snapkeep([
      "extract",
      "latest~1",
      "run",
      "-C",
      path.join(out, "new"),
      "-s",
      folder,
      "--json",
    ]);
    expect(json(stdout)).toMatchObject({ states: ["run"], files: 1 });
    expect(await readdir(path.join(out, "new"))).toEqual(["run"]);
  });

  it("refuses to change what is there without --force", async () => {
    const [folder, out] = [await temporaryFolder(), await temporaryFolder()];
    await fill(folder);
    await mkdir(path.join(out, "run"));
    await writeFile(path.join(out, "run/mine"), "precious");
    const { code, stderr } = await snapkeep(["extract", "latest", "-C", out, "-s", folder]);
    expect([code, stderr]).toEqual([1, expect.stringContaining("run/mine")]);
    expect(await readdir(out)).toEqual(["run"]);
    expect((await snapkeep(["extract", "latest", "-C", out, "-s", folder, "--force"])).code).toBe(0);
    expect(await readdir(path.join(out, "run"))).toEqual(["run.json"]);
  });

  it("writes nothing if an entry is damaged, if there is no such state, or into the store", async () => {
    const [folder, out] = [await temporaryFolder(), await temporaryFolder()];
    await fill(folder);
    await writeFile(path.join(folder, await at(folder, -1), "model/weights.bin"), new Uint8Array(3000));
    expect((await snapkeep(["extract", "latest", "-C", out, "-s", folder])).code).toBe(4);
    expect(await readdir(out)).toEqual([]);
    const wrong = await snapkeep(["extract", "latest", "rnu", "-C", out, "-s", folder]);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('nearest is "run"')]);
    for (const inside of [folder, path.join(folder, "sub"), path.join(folder, await at(folder, 0))]) {
      expect((await snapkeep(["extract", "latest~1", "-C", inside, "-s", folder])).code).toBe(2);
    }
    expect((await snapkeep(["extract", "latest", "-s", folder])).code).toBe(2);
  });
});

describe("snapkeep prune", () => {
  it("shows the plan with reasons, and removes nothing in a dry run", async () => {
    const folder = await temporaryFolder();
    await fill(folder, {
      count: 5,
      labels: (step) => ({ metrics: { loss: step === 2 ? 0.1 : 1 }, pinned: step === 1 }),
    });
    const { code, stdout, stderr } = await snapkeep([
      "prune",
      "--keep-latest",
      "2",
      "--keep-best",
      "loss:min:1",
      "--dry-run",
      "-s",
      folder,
    ]);
    expect([code, stderr]).toEqual([0, "4 kept, 1 to be removed (2.96 KiB)\n"]);
    expect(golden(stdout)).toMatchInlineSnapshot(`
      "PLAN    NAME                              AGE    STORED  REASONS
      keep    2026-01-02_03-04-05,000001.state   5h    1019 B  pinned
      keep    2026-01-02_03-04-05,000002.state   4h  1.97 KiB  best loss 1
      remove  2026-01-02_03-04-05,000003.state   3h  2.96 KiB  no rule keeps it
      keep    2026-01-02_03-04-05,000004.state   2h  3.93 KiB  latest 2
      keep    2026-01-02_03-04-05,000005.state   1h   4.9 KiB  newest, latest 1
      "
    `);
    expect((await new StateStore(folder).list()).length).toBe(5);
  });

  it.each([["--keep-hourly", "Infinity"], ["--keep-best", "loss:min:Infinity"]])(
    "keeps without a limit with %s %s",
    async (option, value) => {
      const folder = await temporaryFolder();
      await fill(folder, { count: 3, labels: (step) => ({ metrics: { loss: step } }) });
      const { code, stderr } = await snapkeep(["prune", option, value, "--yes", "-s", folder]);
      expect([code, stderr]).toEqual([0, expect.stringContaining("3 kept")]);
    },
  );

  it("warns of tags and metrics that no snapshot has", async () => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 1, labels: () => ({ tags: ["good"], metrics: { loss: 1 } }) });
    const rules = ["--keep-tagged", "@god", "--keep-best", "los:min:1", "--keep-tagged", "good"];
    const { code, stderr } = await snapkeep(["prune", ...rules, "--dry-run", "-s", folder]);
    expect([code, stderr.split("\n").slice(0, -2)]).toEqual([0, [
      'no snapshot has the tag "god"; the nearest is "good"',
      'no snapshot has the metric "los"; the nearest is "loss"',
    ]]);
  });

  it("needs --yes where there is no terminal", async () => {
    const folder = await temporaryFolder();
    await fill(folder);
    const refused = await snapkeep(["prune", "--keep-latest", "1", "-s", folder]);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining("--yes")]);
    expect((await new StateStore(folder).list()).length).toBe(3);
    const done = await snapkeep(["prune", "--keep-latest", "1", "--yes", "-s", folder, "--json"]);
    expect(json(done.stdout)).toMatchObject({ dryRun: false, removed: [expect.anything(), expect.anything()] });
    expect((await new StateStore(folder).list()).length).toBe(1);
    expect((await snapkeep(["prune", "--keep-latest", "1", "-s", folder])).code).toBe(0);
  });

  it("refuses a place of several programs unless --program says whose", async () => {
    const folder = await temporaryFolder();
    await fill(folder, { program: "a", ageMs: 36_000_000 });
    await fill(folder, { program: "b" });
    const refused = await snapkeep(["prune", "--keep-latest", "1", "--yes", "-s", folder]);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('"a", "b"')]);
    expect((await new StateStore(folder).list()).length).toBe(6);
    expect((await snapkeep(["prune", "--keep-latest", "1", "--yes", "--program", "c", "-s", folder])).code).toBe(2);
    expect((await snapkeep(["prune", "--keep-latest", "1", "--yes", "--program", "a", "-s", folder])).code).toBe(0);
    const left = await new StateStore(folder).list();
    expect(await Promise.all(left.map(async (each) => (await each.manifest()).program))).toEqual(["a", "b", "b", "b"]);
  });

  it("neither counts nor removes what is damaged", async () => {
    const folder = await temporaryFolder();
    await fill(folder);
    await writeFile(path.join(folder, await at(folder, -1), "manifest.json"), "{}");
    const { code, stderr } = await snapkeep(["prune", "--keep-latest", "1", "--yes", "-s", folder]);
    expect([code, stderr]).toEqual([0, expect.stringContaining("neither counted nor removed")]);
    expect((await new StateStore(folder).list()).length).toBe(2);
  });

  it("names a size in a reason as --keep-under writes it", async () => {
    const folder = await temporaryFolder();
    await fill(folder);
    const { stdout } = await snapkeep(["prune", "--keep-under", "2K", "--dry-run", "-s", folder]);
    expect(stdout).toMatch(/^remove .* beyond 2 KiB$/m);
  });

  it.each([
    [[]],
    [["--keep-latest", "0"]],
    [["--keep-latest", "x"]],
    [["--keep-latest", "-1"]],
    [["--keep-best", "loss:3"]],
    [["--keep-within", "7 days"]],
    [["--keep-under", "10 parsecs"]],
    [["--keep-daily", "1", "--zone", "Nowhere/Land"]],
    [["--keep-last", "1"]],
  ])("refuses %j", async (args) => {
    const folder = await temporaryFolder();
    await fill(folder);
    expect((await snapkeep(["prune", ...args, "--yes", "-s", folder])).code).toBe(2);
    expect((await new StateStore(folder).list()).length).toBe(3);
  });
});

describe("snapkeep label, pin, unpin, sweep, doctor", () => {
  it("label changes labels one by one", async () => {
    const folder = await temporaryFolder();
    const store = await fill(folder, { count: 1 });
    await snapkeep(["label", "latest", "--tag", "a", "--tag", "@b", "--metric", "loss=0.5", "-s", folder]);
    const { stdout } = await snapkeep([
      "label",
      "latest",
      "--untag",
      "a",
      "--metric",
      "acc=1",
      "--step",
      "7",
      "--remark",
      "r",
      "-s",
      folder,
    ]);
    expect(golden(stdout)).toBe('2026-01-02_03-04-05,000001.state  @b step=7 loss=0.5 acc=1 "r"\n');
    await snapkeep(["pin", "latest", "-s", folder]);
    expect(await (await store.latest())?.labels()).toEqual({
      tags: ["b"],
      metrics: { loss: 0.5, acc: 1 },
      step: 7,
      remark: "r",
      pinned: true,
    });
    await snapkeep(["unpin", "@b", "-s", folder]);
    expect((await (await store.latest())?.labels())?.pinned).toBe(undefined);
    for (const mistake of [["--metric", "loss"], ["--metric", "loss="], ["--tag", "@"], ["--tag="], ["--step", "x"]]) {
      expect((await snapkeep(["label", "latest", ...mistake, "-s", folder])).code).toBe(2);
    }
    expect((await snapkeep(["pin", "latest", "missing", "-s", folder])).code).toBe(1);
    expect((await (await store.latest())?.labels())?.pinned).toBe(undefined);
  });

  it("sweep removes what dead writers left", async () => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 1 });
    await mkdir(path.join(folder, ".x.state.00000000deadbeef.stage"));
    const { code, stdout } = await snapkeep(["sweep", "--older-than", "0s", "-s", folder]);
    expect([code, stdout]).toEqual([0, "unfinished  x.state\n"]);
    expect(await leftoversIn(folder)).toEqual([]);
    await mkdir(path.join(folder, ".x.state.00000000deadbeef.stage"));
    const { stderr } = await snapkeep(["sweep", "-s", folder]);
    expect(stderr).toContain("1 stays, because its writer may live: a heartbeat is less than 10m old (--older-than)");
    expect((await snapkeep(["sweep", "--force", "-s", folder])).code).toBe(2);
    expect((await snapkeep(["sweep", "--older-than", "soon", "-s", folder])).code).toBe(2);
  });

  it("doctor names what is wrong, and the command that mends it", async () => {
    const folder = await temporaryFolder();
    await fill(folder);
    const healthy = await snapkeep(["doctor", "-s", folder]);
    const warned = healthy.stdout.includes("warning codecs") ? 1 : 0; // where there is no zstd
    expect([healthy.code, healthy.stderr]).toEqual([0, `no problem found${warned ? ", 1 warning" : ""}\n`]);
    await writeFile(path.join(folder, await at(folder, 0), "manifest.json"), "{}");
    await rename(path.join(folder, await at(folder, 1)), path.join(folder, "2099-01-01_00-00-00,000000.state"));
    await fill(folder, { count: 1, program: "other", ageMs: 60_000 });
    await mkdir(path.join(folder, `.${"0".repeat(16)}.trash`));
    const { code, stdout, stderr } = await snapkeep(["doctor", "-s", folder]);
    expect([code, stderr]).toEqual([4, `1 problem found, ${4 + warned} warnings\n`]);
    for (
      const text of [
        "cannot be read",
        "snapkeep verify",
        "2 snapshots are in the future",
        "snapkeep sweep",
        "2 programs",
        "was saved as",
      ]
    ) {
      expect(stdout).toContain(text);
    }
    const { checks, problems } = json((await snapkeep(["doctor", "-s", folder, "--json"])).stdout);
    expect(problems).toBe(1);
    expect((checks as { name: string }[]).map(({ name }) => name)).toContain("runtime");
  });
});

// There, not even the superuser can make a file.
it.runIf(process.platform === "linux")("snapkeep doctor sees a folder in which no program can save", async () => {
  const { code, stdout } = await snapkeep(["doctor", "-s", "/sys"]);
  expect([code, stdout]).toEqual([
    1,
    expect.stringMatching(/^problem permissions +this user cannot write: .*"\/sys\//m),
  ]);
});

describe("the command line", () => {
  it("writes nouns in the singular after a count of one", async () => {
    const folder = await temporaryFolder();
    const store = new StateStore(folder).register("run", bytesState({ get: () => new Uint8Array(2), set: () => {} }));
    const { name } = await store.saveState();
    await mkdir(path.join(folder, "other"));
    await mkdir(path.join(folder, `.${"0".repeat(16)}.trash`));
    const entry = (await store.latest().then((latest) => latest?.manifest()))?.states[0]?.entries[0]?.path;
    for (
      const [args, text] of [
        [["doctor"], "has 1 snapshot, the newest saved"],
        [["doctor"], '1 folder is not a snapshot, such as "other"'],
        [["show", name], "2 B in 1 entry of 1 state\n"],
        [["history", `run/${entry}`], "1 change in 1 snapshot\n"],
        [["verify"], "1 entry, 2 B"],
        [["extract", name, "-C", await temporaryFolder()], "1 state extracted, 2 B\n"],
        [["show", folder], "is a folder of 1 snapshot; name one of them"],
        [["show", "latest", "--name-format", "%Y-%m-%d.state"], "it has 1 snapshot, none with a name of this format"],
        [["sweep"], "1 hidden file or folder removed\n"],
      ] as const
    ) {
      const { stdout, stderr } = await snapkeep([...args, "-s", folder]);
      expect(stdout + stderr, args.join(" ")).toContain(text);
    }
  });

  it("names the nearest command and option, and ends with 2", async () => {
    for (
      const [args, near] of [[["lst"], "list"], [["list", "--al"], "--all"], [
        ["prune", "--kepe-latest", "1"],
        "--keep-latest",
      ]] as const
    ) {
      const { code, stdout, stderr } = await snapkeep(args);
      expect([code, stdout, stderr]).toEqual([2, "", expect.stringContaining(`Did you mean ${near}?`)]);
    }
    const excess = await snapkeep(["list", "extra"]);
    expect([excess.code, excess.stderr]).toEqual([2, expect.stringContaining("-s <folder>\nSee snapkeep list --help")]);
    expect((await snapkeep([])).code).toBe(2);
    expect((await snapkeep(["-s", "list", "lst"])).stderr).toContain("unknown command 'lst'");
    for (const args of [["help", "lst"], ["lst", "--help"]]) {
      expect(await snapkeep(args)).toMatchObject({
        code: 2,
        stdout: "",
        stderr: expect.stringContaining("Did you mean list?"),
      });
    }
  });

  it("refuses an option in place of a value", async () => {
    const folder = await temporaryFolder();
    const store = await fill(folder, { count: 1 });
    for (
      const args of [["label", "latest", "--tag", "--remark", "-s", folder], ["list", "-s", "--all"], ["list", "-s"]]
    ) {
      expect(await snapkeep(args)).toMatchObject({
        code: 2,
        stdout: "",
        stderr: expect.stringContaining("argument missing"),
      });
    }
    expect((await snapkeep(["label", "latest", "--tag=--remark", "-s", folder])).code).toBe(0);
    expect(await (await store.latest())?.labels()).toMatchObject({ tags: ["--remark"] });
  });

  it("takes the store before the command, rather than from the environment", async () => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 1 });
    const { code, stdout } = await snapkeep(["-s", folder, "--json", "list"], { env: { SNAPKEEP_STORE: "missing" } });
    expect([code, json(stdout)["store"]]).toEqual([0, folder]);
  });

  it("prints help with examples for every command, and the version", async () => {
    const { code, stdout } = await snapkeep(["--help"]);
    expect(code).toBe(0);
    const names = [...stdout.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name as string).filter((name) =>
      name !== "help"
    );
    expect(names).toEqual(expect.arrayContaining(["list", "prune", "doctor"]));
    const helps = await Promise.all(
      names.filter((name) => !["latest", "backup"].includes(name)).map((name) => snapkeep([name, "--help"])),
    );
    for (const help of helps) expect([help.code, help.stdout]).toEqual([0, expect.stringContaining("Examples:")]);
    expect((await snapkeep(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it("writes errors as JSON with --json", async () => {
    const folder = await temporaryFolder();
    const { code, stdout, stderr } = await snapkeep(["show", "latest", "-s", folder, "--json"]);
    expect([code, stdout]).toEqual([1, ""]);
    expect(json(stderr)).toMatchObject({ type: "error", exitCode: 1, code: "SNAPSHOT_NOT_FOUND" });
    for (const args of [["lst"], ["list", "--al"], ["show"], ["list", "-s"], ["list", "x"], ["list"]]) {
      expect(json((await snapkeep([...args, "--json"])).stderr)).toMatchObject({ type: "error", exitCode: 2 });
    }
  });
});
