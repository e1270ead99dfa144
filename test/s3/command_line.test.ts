// The command line on an object store: each command, what it says when the store fails, and that it shows no secret.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { copySnapshots, type SnapshotLocator, StateStore } from "snapkeep";
import { beforeEach, describe, expect, it } from "vitest";
import { credentials } from "../../tools/object_store.mjs";
import { temporaryFolder } from "../backend/temporary.ts";
import { commandLine, environment, fill, type Filling, golden, snapkeep, snapkeepBytes } from "../cli/snapkeep.ts";
import { hasObjectStore } from "./object_store.ts";
import { MIB, world } from "./world.ts";

const here = world();
const SECRETS = /snapkeeptest|AKIASECRET|hunter2|Signature=|AWS4-HMAC|uthorization:/;
const json = (text: string) => JSON.parse(text) as Record<string, unknown>;

/** What a command takes from the environment. */
const keys = (endpoint = here.proxy.endpoint) => ({
  AWS_ENDPOINT_URL: endpoint,
  AWS_ACCESS_KEY_ID: credentials.accessKeyId,
  AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
});

/** Runs a command on the place of the test; it must not show a secret. */
async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const ended = await snapkeep(args, { env: { ...keys(), SNAPKEEP_STORE: here.place.url, ...env } });
  expect(ended.stdout + ended.stderr, args.join(" ")).not.toMatch(SECRETS);
  return ended;
}

/** Saves snapshots to a folder, and copies them to the place of the test. */
async function fillBoth(filling: Filling = {}) {
  const folder = await temporaryFolder();
  const local = await fill(folder, filling);
  const remote = new StateStore(here.backend());
  for await (const { outcome } of copySnapshots(await local.list(), remote)) expect(outcome).toBe("copied");
  here.proxy.take();
  return { folder, local, remote };
}

const namesOf = (snapshots: readonly SnapshotLocator[]) => snapshots.map(({ name }) => name);

describe.skipIf(!hasObjectStore)("the command line on an object store", () => {
  it("looks at snapshots", async () => {
    const { remote } = await fillBoth({
      layout: "tar.gz",
      labels: (step) => ({ step, tags: step === 2 ? ["good"] : [] }),
    });
    const [list, show, diff, verify, history, top] = await Promise.all([
      run(["list"]),
      run(["show", "latest", "--json"]),
      run(["diff", "--json"]),
      run(["verify"]),
      run(["history", "run/run.json", "--json"]),
      run(["top", "@good", "--since", "latest~2"]),
    ]);
    expect(golden(list.stdout).split("\n")[2]).toBe(
      "2026-01-02_03-04-05,000002.state   2h  1.97 KiB       2  tar.gz  @good step=2",
    );
    expect([list.code, list.stderr]).toEqual([0, ""]);
    const latest = await remote.latest();
    expect(json(show.stdout)).toMatchObject({ uri: latest?.uri, layout: "tar.gz", program: "trainer" });
    expect(json(diff.stdout)).toMatchObject({ isEqual: false });
    expect([verify.code, verify.stderr]).toEqual([0, "3 verified, no damage found\n"]);
    expect(json(history.stdout)).toMatchObject({ snapshots: 3, skipped: [] });
    expect([top.code, top.stdout]).toEqual([0, expect.stringContaining("model/weights.bin")]);
  });

  it("prints an entry of a large archive by a few small requests", async () => {
    const { remote } = await fillBoth({ count: 1, layout: "tar.gz", bytes: () => randomBytes(6 * MIB) });
    const uri = (await remote.latest())?.uri ?? "";
    here.proxy.take();
    const { code, stdout } = await run(["cat", uri, "run/run.json"], { SNAPKEEP_STORE: "" });
    expect([code, json(stdout)]).toEqual([0, { step: 1, loss: 1 }]);
    const ranges = here.proxy.take().map(({ headers }) => /^bytes=(\d*)-(\d+)$/.exec(String(headers["range"])));
    expect(ranges.length).toBeLessThanOrEqual(4);
    expect(ranges.reduce((sum, range) => sum + Number(range?.[2]) - Number(range?.[1] ?? 0), 0)).toBeLessThan(MIB);
  });

  it("copies from a folder to the store and back, and continues after an interruption", async () => {
    const folder = await temporaryFolder();
    const big = randomBytes(20 * MIB); // more than one part
    const local = await fill(folder, { count: 2, bytes: (step) => step === 1 ? new Uint8Array(9) : big });
    let onPart = () => {};
    const atPart = new Promise<void>((resolve) => onPart = resolve);
    here.proxy.plan(({ target }) => {
      if (!target.includes("partNumber=2")) return undefined;
      onPart();
      return new Promise(() => {}); // it hangs
    });
    const [command, args] = commandLine(["copy", "--all", "--to", here.place.url, "-s", folder]);
    const child = spawn(command, args, { env: environment(keys()), stdio: "ignore" });
    const ended = new Promise((resolve) => child.on("close", (code, signal) => resolve(code ?? signal)));
    await atPart;
    process.kill(child.pid as number, "SIGINT"); // Deno's child.kill() changes the exit code
    expect(await ended).toBe(130);
    here.proxy.plan(() => undefined);
    const [first = ""] = namesOf(await local.list());
    const { keys: left, uploads } = await here.raw();
    expect([left.filter((key) => !key.startsWith(`${first}/`)), uploads]).toEqual([[], 0]);
    const again = await run(["copy", "--all", "--to", here.place.url, "-s", folder]);
    expect([again.code, again.stderr]).toEqual([0, "1 copied, 1 was there\n"]);
    const back = path.join(await temporaryFolder(), "back");
    expect((await run(["copy", "--all", "--to", back, "--json"])).code).toBe(0);
    expect(namesOf(await new StateStore(back).list())).toEqual(namesOf(await local.list()));
    const [, second] = await new StateStore(back).list();
    await using reader = await (second as SnapshotLocator).open();
    expect(await reader.bytes("model/weights.bin")).toEqual(new Uint8Array(big));
  });

  it("imports and exports by URL and by pipe", async () => {
    const { folder, local } = await fillBoth({ count: 1 });
    const url = `${here.place.url}/exports/x.tar.gz`;
    const exported = await run(["export", "latest", "-s", folder, "-o", url]);
    expect([exported.code, exported.stderr]).toEqual([0, expect.stringMatching(/^exported .* to s3:\/\//)]);
    const [again, forced, exports] = await Promise.all([
      run(["export", "latest", "-s", folder, "-o", url]),
      run(["export", "latest", "-s", folder, "-o", url, "--force"]),
      run(["list", "-s", url]),
    ]);
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining("exists already")]);
    expect([forced.code, forced.stderr]).toEqual([1, expect.stringContaining("remove it first")]);
    expect([exports.code, exports.stderr]).toEqual([2, expect.stringContaining("in place of <snapshot>")]);
    const other = await temporaryFolder();
    const imported = await run(["import", url, "-s", other, "--json"]);
    expect(json(imported.stdout)).toMatchObject({ name: (await local.latest())?.name });
    const env = { ...keys(), SNAPKEEP_STORE: here.place.url };
    const { stdout } = await snapkeepBytes(["export", "latest"], { env });
    const piped = await snapkeep(["import", "-", "-s", `${here.place.url}/piped`], { env, input: stdout });
    expect([piped.code, piped.stdout]).toEqual([0, `${(await local.latest())?.name}\n`]);
    expect((await run(["extract", "latest", "-C", other, "-s", `${here.place.url}/piped`])).code).toBe(0);
    expect(await readdir(path.join(other, "model"))).toEqual(["weights.bin"]);
  });

  it("labels, pins and prunes, after a dry run that removes nothing", async () => {
    const { remote } = await fillBoth({ count: 4 });
    const all = namesOf(await remote.list());
    expect((await run(["pin", all[0] as string])).stdout).toContain("pinned");
    expect((await run(["label", "latest~2", "--tag", "good"])).stdout).toContain("@good");
    const rules = ["prune", "--keep-latest", "1", "--keep-tagged", "good"];
    const dry = await run([...rules, "--dry-run"]);
    expect([dry.code, dry.stderr]).toEqual([0, expect.stringContaining("3 kept, 1 to be removed")]);
    expect((await run(rules)).code).toBe(2); // there is no terminal to ask on
    expect(await remote.list()).toHaveLength(4);
    const done = await run([...rules, "--yes", "--json"]);
    expect(json(done.stdout)).toMatchObject({ dryRun: false, removed: [all[2]] });
    expect(namesOf(await remote.list())).toEqual([all[0], all[1], all[3]]);
  });

  it("finds, shows and sweeps what a dead writer left, and doctor prints the probe", async () => {
    await fillBoth({ count: 1 });
    const unit = "2030-01-01_00-00-00,000000.state/";
    const claim = { format: "snapkeep-claim", unit, purpose: "stage", id: "dead.1" };
    await here.put(`.claims/${unit.slice(0, -1)}.json`, JSON.stringify(claim));
    await here.put(`${unit}a/b`);
    const bare = "2031-01-01_00-00-00,000000.state";
    for (const key of [`${bare}/a/b`, "other/deep/file", "loose.txt", "/odd"]) await here.put(key);
    const list = await run(["list"]);
    expect(list.stderr).toContain("1 partial, 1 unfinished, 1 foreign");
    const all = json((await run(["list", "--all", "--json"])).stdout)["snapshots"];
    expect((all as { name: string; status: string }[]).map(({ name, status }) => [name, status]).slice(1)).toEqual([
      [bare, "partial"],
      [unit.slice(0, -1), "unfinished"],
      ["other", "foreign"],
    ]);
    const doctor = await run(["doctor", "--json"]);
    expect(doctor.code).toBe(0);
    const { checks } = json(doctor.stdout) as { checks: { name: string; text: string; conditions?: object }[] };
    const check = (name: string) => checks.find((each) => each.name === name);
    expect(check("conditions")?.conditions).toEqual(await here.backend().probe());
    expect(check("conditions")?.text).toContain("PUT If-None-Match respected");
    expect(check("leftovers")?.text).toContain("1 of writers that may live");
    expect(check("partial")?.text).toContain(bare);
    expect(checks.map(({ name }) => name)).not.toContain("free space");
    const swept = await run(["sweep", "--older-than", "0s"]);
    expect([swept.code, swept.stdout]).toEqual([0, `unfinished  ${unit.slice(0, -1)}\n`]);
    expect((await here.raw()).keys.filter((key) => key.startsWith(".") || key.startsWith(unit))).toEqual([]);
  });

  it("says how to write to a store that ignores conditions, and writes with that promise", async () => {
    here.proxy.plan(({ headers }) =>
      headers["if-none-match"] !== undefined || headers["if-match"] !== undefined ? "ignore condition" : undefined
    );
    const folder = await temporaryFolder();
    const local = await fill(folder, { count: 1 });
    const { name = "" } = await local.latest() ?? {};
    const [doctor, copy] = await Promise.all([
      run(["doctor"]),
      run(["copy", "--all", "--to", here.place.url, "-s", folder]),
    ]);
    expect([doctor.code, doctor.stdout]).toEqual([1, expect.stringContaining("PUT If-None-Match ignored")]);
    expect(doctor.stdout).toContain("commands with --without-conditions");
    expect([copy.code, copy.stderr]).toEqual([
      1,
      expect.stringMatching(/ignores conditional writes.*--without-conditions/),
    ]);
    expect((await here.raw()).keys).toEqual([]);
    const promise = "--without-conditions";
    const exported = `${here.place.url}/x.tar.gz`;
    for (
      const args of [
        ["copy", "--all", "--to", here.place.url, "-s", folder],
        ["import", path.join(folder, name), "-s", `${here.place.url}/imported`],
        ["export", "latest", "-s", folder, "-o", exported],
        ["pin", `${here.place.url}/${name}`],
        ["unpin", exported],
        ["label", "latest", "--tag", "good"],
      ]
    ) {
      const { code, stderr } = await run([...args, promise]);
      expect(code, `${args.join(" ")}: ${stderr}`).toBe(0);
    }
    expect((await run(["show", "@good", "--json"])).stdout).toContain('"pinned":true');
  });

  it("refuses the promise where no object store is named", async () => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 1 });
    const [list, copy] = await Promise.all([
      run(["list", "-s", folder, "--without-conditions"]),
      run(["copy", "--all", "--to", `${folder}/b`, "-s", folder, "--without-conditions"]),
    ]);
    for (const { code, stdout, stderr } of [list, copy]) {
      expect([code, stdout, stderr]).toEqual([2, "", expect.stringContaining("no s3:// URL is named")]);
    }
  });

  describe("that fails", () => {
    beforeEach(async () => void await fillBoth({ count: 2, labels: (step) => ({ pinned: step === 1 }) }));

    it("ends with 1 where it cannot be reached, and never says that there are no snapshots", async () => {
      const away = keys("http://127.0.0.1:1");
      const commands = [
        ["list"],
        ["list", "--json", "--all"],
        ["show", "latest"],
        ["cat", "latest", "run/run.json"],
        ["diff"],
        ["verify"],
        ["prune", "--keep-latest", "1", "--yes"],
        ["pin", "latest"],
        ["sweep"],
        ["doctor", "--json"],
        ["import", `${here.place.url}/x.state`, "-s", await temporaryFolder()],
      ];
      for (let at = 0; at < commands.length; at += 4) {
        await Promise.all(
          commands.slice(at, at + 4).map(async (args) => {
            const { code, stdout, stderr } = await run(args, away);
            expect([code, stdout + stderr], args.join(" ")).toEqual([1, expect.stringContaining("no answer")]);
            expect(stdout + stderr).not.toMatch(/no snapshots|damaged/);
            if (args[0] !== "doctor") expect(stdout).toBe("");
          }),
        );
      }
    });

    it.each(
      [
        ["forbids to read", { status: 403, code: "AccessDenied" }, "STORAGE_FORBIDDEN"],
        ["is throttled", { status: 503, code: "SlowDown" }, "STORAGE_THROTTLED"],
        ["is cut off", "cut request", "STORAGE_UNREACHABLE"],
      ] as const,
    )("where it lists but %s, is not taken for damage", async (_, fault, code) => {
      here.proxy.plan(({ method, target }) =>
        method === "GET" && /\.state\/manifest\.json|\.notes\/.*\.json/.test(target) ? fault : undefined
      );
      const [list, prune] = await Promise.all([
        run(["list", "--json"]),
        run(["prune", "--keep-latest", "1", "--yes", "--json"]),
      ]);
      for (const { code: exit, stdout, stderr } of [list, prune]) {
        expect([exit, stdout, json(stderr)["code"]]).toEqual([1, "", code]);
      }
      here.proxy.plan(() => undefined);
      expect(await new StateStore(here.backend()).list()).toHaveLength(2);
    });
  });

  it("takes credentials from the environment alone, and shows none", async () => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 1 });
    const withKeys = "s3://AKIASECRET:hunter2@bucket/p";
    const wrong = { ...keys(), AWS_SECRET_ACCESS_KEY: "hunter2" };
    const tried = await Promise.all([
      run(["list", "-s", withKeys]),
      run(["show", `${withKeys}/x.state`, "--json"]),
      run(["copy", "--all", "--to", withKeys, "-s", folder]),
      run(["import", `${withKeys}/x.state.tar.gz`, "-s", folder, "--json"]),
      run(["export", "latest", "-s", folder, "-o", `${withKeys}/x.tar.gz`]),
      run(["list", "-s", "s3://bucket/p?X-Amz-Signature=hunter2"]),
      run(["list", "--json"], keys("http://AKIASECRET:hunter2@127.0.0.1:1")),
    ]);
    for (const { code, stdout } of tried) expect([code, stdout]).toEqual([2, ""]);
    expect(tried[0]?.stderr).toContain("AWS_ACCESS_KEY_ID");
    const [refused, plain, help] = await Promise.all([
      run(["list", "--json"], wrong),
      run(["list"], keys("http://0.0.0.0:1")), // another machine, by its look
      run(["--help"]),
    ]);
    expect([refused.code, json(refused.stderr)["code"]]).toEqual([1, "STORAGE_FORBIDDEN"]);
    expect([plain.code, plain.stderr]).toEqual([1, expect.stringMatching(/^warning: .*plain http.*\nerror: /)]);
    expect(help.stdout).toMatch(/AWS_ENDPOINT_URL\b[^]*AWS_REGION/);
  });
});
