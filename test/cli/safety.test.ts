// What no command may do: let escape sequences through, leave half a result, complain about a closed pipe, or ask without a terminal.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { mkdir, readdir, readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import path from "node:path";
import process from "node:process";
import { fileBackend, type SnapshotLocator, StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { visible, visibleJson } from "../../src/cli/visible.ts";
import { leftoversIn } from "../../src/file/leftovers.ts";
import { temporaryFolder } from "../backend/temporary.ts";
import { commandLine, environment, fill, snapkeep, snapkeepBytes } from "./snapkeep.ts";

const HOSTILE =
  "a\u001b[2J\u001b]0;owned\u0007b\u009b31mc\u202ed\u2066e\u200bf\u2028g\rh\ti\u0000j\u007fk\u061cl\u{e0041}m\ufeffn";
const INVISIBLE = /[^\n\P{C}]|[\p{Zl}\p{Zp}]/u;

describe("text that reaches a terminal", () => {
  it("has no invisible character, whatever it is made of", () => {
    expect(visible(HOSTILE)).not.toMatch(INVISIBLE);
    expect(visible("a\nb")).toBe("a\\nb");
    const json = visibleJson({ [HOSTILE]: HOSTILE, lone: "\ud800" });
    expect(json).not.toMatch(INVISIBLE);
    expect(JSON.parse(json)).toEqual({ [HOSTILE]: HOSTILE, lone: "\ud800" });
    expect(visible("naïve 日本語 👍 \\u001b")).toBe("naïve 日本語 👍 \\u001b");
  });

  it("is neutralised in labels, programs, values, names and errors, in JSON too", async () => {
    const folder = await temporaryFolder();
    await fill(folder, {
      program: "p",
      labels: () => ({ tags: [HOSTILE], remark: HOSTILE, metrics: { [HOSTILE]: 1 } }),
      value: (step) => ({ [HOSTILE]: `${HOSTILE}${step}` }),
    });
    const hostile = HOSTILE.replaceAll("\0", ""); // no argument can have a NUL
    const commands = [
      ["list"],
      ["list", "--all"],
      ["list", "-s", hostile],
      ["list", `--${hostile}`],
      ["show", "latest"],
      ["show", hostile],
      ["show", `@${hostile}x`],
      ["show", `/tmp/${hostile}`],
      ["show", `http://127.0.0.1:9/${encodeURIComponent(hostile)}.tar.gz`],
      ["diff"],
      ["top", "latest"],
      ["label", "latest", "--tag", hostile],
      ["cat", "latest", hostile],
      ["history", `run/${hostile}`],
      ["extract", "latest", hostile, "-C", "out"],
      ["verify", hostile],
      ["prune", "--keep-tagged", hostile, "--dry-run"],
      ["prune", "--keep-best", hostile],
      ["prune", "--keep-latest", "1", "--program", hostile],
      [hostile],
    ];
    for (const args of commands) {
      for (const more of [[], ["--json"]]) {
        const given = args.includes("-s") ? args : [...args, "-s", folder];
        const { stdout, stderr } = await snapkeep([...given, ...more]);
        expect(stdout + stderr, args.join(" ")).not.toMatch(INVISIBLE);
      }
    }
  });

  it("is neutralised in what a server answers", async () => {
    const server = createServer((_, response) => {
      response.writeHead(500, "\u001b[31mowned".replace("\u001b", "\u009b"));
      response.end(HOSTILE);
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const { code, stdout, stderr } = await snapkeep(["show", `http://127.0.0.1:${port}/x.state.tar.gz`]);
      expect([code, stdout]).toEqual([1, ""]);
      expect(stderr).not.toMatch(INVISIBLE);
    } finally {
      server.close();
    }
  });

  it("has colours only if they are asked for", async () => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 1 });
    const escape = "\u001b[";
    const colours = async (env: Record<string, string>) =>
      (await snapkeep(["list", "-s", folder], { env })).stdout.includes(escape);
    expect(await colours({})).toBe(false);
    expect(await colours({ FORCE_COLOR: "1" })).toBe(true);
    expect(await colours({ NO_COLOR: "1" })).toBe(false);
    expect((await snapkeep(["list", "-s", folder, "--json"], { env: { FORCE_COLOR: "1" } })).stdout).not.toContain(
      escape,
    );
  });
});

describe("a URL", () => {
  it("of an archive is shown, listed and printed by ranged reads", async () => {
    const folder = await temporaryFolder();
    const store = await fill(folder, { layout: "tar.gz", bytes: () => crypto.getRandomValues(new Uint8Array(65536)) });
    const file = String(await store.latest());
    const bytes = await readFile(file);
    const sent: number[] = [];
    const server = createServer((request, response) => {
      const range = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? "");
      const start = range?.[1] === "" ? bytes.length - Number(range[2]) : Number(range?.[1] ?? 0);
      const end = range?.[1] === "" || range?.[2] === "" || range === null ? bytes.length : Number(range[2]) + 1;
      const part = bytes.subarray(Math.max(0, start), end);
      if (request.method === "GET") sent.push(part.length);
      const headers = { etag: '"1"', "accept-ranges": "bytes", "content-length": part.length };
      if (range === null) response.writeHead(200, headers);
      else {response.writeHead(206, {
          ...headers,
          "content-range": `bytes ${Math.max(0, start)}-${Math.max(0, start) + part.length - 1}/${bytes.length}`,
        });}
      response.end(request.method === "HEAD" ? undefined : part);
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const url = `http://127.0.0.1:${port}/${path.basename(file)}`;
      const cat = await snapkeep(["cat", url, "run/run.json"]);
      expect([cat.code, JSON.parse(cat.stdout)]).toEqual([0, { step: 3, loss: 1 / 3 }]);
      expect((await snapkeep(["verify", url])).code).toBe(0);
      expect((await snapkeep(["import", url, "-s", path.join(folder, "copy")])).code).toBe(0);
      expect((await snapkeep(["list", "-s", url])).code).toBe(2);
    } finally {
      server.close();
    }
  });
});

describe("a closed pipe", () => {
  it.each([
    ["list", ["list"]],
    ["cat", ["cat", "latest", "model/weights.bin"]],
    ["export", ["export", "latest"]],
    ["list --json", ["list", "--json"]],
  ])("ends %s quietly", async (_, args) => {
    const folder = await temporaryFolder();
    await fill(folder, {
      count: 2,
      bytes: () => new Uint8Array(20_000_000).map((_, index) => index * 7919),
    });
    const [command, all] = commandLine([...args, "-s", folder]);
    const child = spawn(command, all, { env: environment(), stdio: ["ignore", "pipe", "pipe"] });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
    child.stdout.destroy();
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect([code, stderr]).toEqual([0, ""]);
  });
});

/** How long the command line waits for the clean-up of a command. */
const MOST_CLEANUP_MS = 5000;

/** Folders of dead writers, more than a sweep removes at once. */
const DEAD = 500;

/** Waits until something holds. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!await holds()) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Waits until a folder has something in it. */
const appears = (folder: string): Promise<void> => until(async () => (await readdir(folder)).length > 0);

describe("an interruption", () => {
  /** Starts a command, and sends SIGINT when something has happened; fails if it ends before. */
  async function interrupted(
    args: readonly string[],
    happened: Promise<unknown>,
    { input, isPipeline = false, env = {} }: {
      readonly input?: Uint8Array;
      /** Whether what writes to stdin ends by the same signal. */
      readonly isPipeline?: boolean;
      readonly env?: Readonly<Record<string, string>>;
    } = {},
  ) {
    const [command, all] = commandLine(args);
    const child = spawn(command, all, {
      env: environment(env),
      stdio: [input === undefined ? "ignore" : "pipe", "ignore", "pipe"],
    });
    let stderr = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => stderr += text);
    if (input !== undefined) child.stdin?.write(input); // and no end: it waits for more
    const ended = new Promise<number | null>((resolve) => child.on("close", (code) => resolve(code)));
    const early = ended.then((code) => Promise.reject(new Error(`ended with ${code} before the signal: ${stderr}`)));
    await Promise.race([happened, early]);
    early.catch(() => {});
    const sinceMs = performance.now();
    process.kill(child.pid as number, "SIGINT"); // Deno's child.kill() ends stdin too, and changes the exit code
    if (isPipeline) child.stdin?.end();
    return { code: await ended, stderr, afterMs: performance.now() - sinceMs };
  }

  /** Serves an archive, but holds back the bytes of its largest entry; tells when they are asked for. */
  async function stallingServer(file: string) {
    const bytes = await readFile(file);
    let onStalled = () => {};
    const stalled = new Promise<void>((resolve) => onStalled = resolve);
    const server = createServer((request, response) => {
      const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
      const start = first === "" ? bytes.length - Number(last) : Number(first);
      const end = first === "" || last === "" ? bytes.length : Math.min(bytes.length, Number(last) + 1);
      const isHeld = first !== "" && end - start > 100_000 ||
        request.method === "GET" && request.headers.range === undefined;
      const size = { "content-length": end - start, "content-range": `bytes ${start}-${end - 1}/${bytes.length}` };
      if (request.method === "HEAD") {
        response.writeHead(200, { etag: '"1"', "accept-ranges": "bytes", "content-length": bytes.length }).end();
        return;
      }
      response.writeHead(206, { etag: '"1"', "accept-ranges": "bytes", ...size });
      if (!isHeld) response.end(bytes.subarray(start, end));
      else response.write(bytes.subarray(start, start + 10), onStalled);
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as AddressInfo;
    const stop = () => {
      server.closeAllConnections();
      server.close();
    };
    return { url: `http://127.0.0.1:${port}/${path.basename(file)}`, stalled, stop };
  }

  it.each([
    ["verify", []],
    ["cat", ["model/weights.bin"]],
    ["extract", ["-C", "OUT/sub"]],
    ["import", ["-s", "OUT"]],
    ["copy", ["--to", "OUT"]],
    ["export", ["-o", "OUT/x.tar.gz"]],
    ["export", ["-o", "-"]],
    ["export", ["--layout", "tar"]],
  ])("of %s in the middle of an entry ends with 130 and leaves nothing", async (command, after) => {
    const [folder, out] = [await temporaryFolder(), await temporaryFolder()];
    const store = await fill(folder, {
      count: 1,
      layout: "tar.gz",
      bytes: () => randomBytes(3_000_000),
    });
    const { url, stalled, stop } = await stallingServer(String(await store.latest()));
    try {
      const args = [command, url, ...after.map((arg) => arg.replace("OUT", out))];
      const { code, stderr, afterMs } = await interrupted(args, stalled);
      expect([code, stderr]).toEqual([130, "error: interrupted\n"]);
      expect(afterMs).toBeLessThan(MOST_CLEANUP_MS); // no command waits for the server
      expect(await readdir(out)).toEqual([]);
    } finally {
      stop();
    }
  });

  it.each([
    ["export", (folder: string, out: string) => ["export", "latest", "-s", folder, "-o", `${out}/x.tar.gz`]],
    ["copy", (folder: string, out: string) => ["copy", "latest", "-s", folder, "--to", out]],
  ])("of %s ends with 130 and leaves nothing", async (_, argsOf) => {
    const [folder, out] = [await temporaryFolder(), await temporaryFolder()];
    await fill(folder, { count: 1, bytes: () => new Uint8Array(120_000_000).fill(7) });
    const { code, stderr } = await interrupted(argsOf(folder, out), appears(out));
    expect([code, stderr]).toEqual([130, "error: interrupted\n"]);
    expect(await readdir(out)).toEqual([]);
  });

  it("of pin ends with 130, and pins no more", async () => {
    const folder = await temporaryFolder();
    const [first, second] = await (await fill(folder, { count: 2 })).list() as [SnapshotLocator, SnapshotLocator];
    const unlock = await fileBackend(folder).notes.lock?.(second.name);
    try {
      const isPinned = until(async () => (await first.labels()).pinned === true);
      const { code } = await interrupted(["pin", first.name, second.name, "-s", folder], isPinned);
      expect(code).toBe(130);
      expect((await second.labels()).pinned).toBeUndefined();
    } finally {
      await unlock?.();
    }
    expect((await snapkeep(["label", second.name, "--tag", "good", "-s", folder])).code).toBe(0);
  });

  it.each([
    ["doctor", []],
    ["label", ["latest", "--tag", "good"]],
    ["pin", ["latest"]],
  ])("of %s while an object store is silent ends with 130 and changes nothing", async (command, options) => {
    const methods: (string | undefined)[] = [];
    let onAsked = () => {};
    const asked = new Promise<void>((resolve) => onAsked = resolve);
    const server = createServer(({ method }) => {
      methods.push(method);
      onAsked();
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const env = {
      AWS_ENDPOINT_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      AWS_ACCESS_KEY_ID: "id",
      AWS_SECRET_ACCESS_KEY: "key",
    };
    try {
      const { code, stderr } = await interrupted([command, ...options, "-s", "s3://bucket/place"], asked, { env });
      expect([code, stderr]).toEqual([130, "error: interrupted\n"]);
      expect(new Set(methods)).toEqual(new Set(["GET"]));
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it("of sweep ends with 130, and the next sweep removes the rest", async () => {
    const folder = await temporaryFolder();
    await fill(folder);
    for (let index = 0; index < DEAD; index++) {
      await mkdir(path.join(folder, `.x${index}.state.00000000deadbeef.stage/a/b/c`), { recursive: true });
    }
    const sweep = ["sweep", "--older-than", "0s", "-s", folder];
    const hasBegun = until(async () => (await leftoversIn(folder)).length < DEAD);
    expect((await interrupted(sweep, hasBegun)).code).toBe(130);
    expect((await snapkeep(sweep)).code).toBe(0);
    expect(await leftoversIn(folder)).toEqual([]);
    expect((await snapkeep(["verify", "-s", folder])).code).toBe(0);
  });

  it.each([
    ["alone", false],
    ["with the program that writes to it", true],
  ])("of an import from stdin, %s, ends with 130 and leaves nothing", async (_, isPipeline) => {
    const [folder, out] = [await temporaryFolder(), await temporaryFolder()];
    await fill(folder);
    const { stdout } = await snapkeepBytes(["export", "latest", "-s", folder]);
    const { code, stderr } = await interrupted(["import", "-", "-s", out], appears(out), {
      input: stdout.subarray(0, 200),
      isPipeline,
    });
    expect([code, stderr]).toEqual([130, "error: interrupted\n"]);
    expect(await readdir(out)).toEqual([]);
  });
});

describe("a store", () => {
  it("is not changed by looking at it", async () => {
    const folder = await temporaryFolder();
    await fill(folder);
    const before = (await readdir(folder, { recursive: true })).sort();
    for (
      const args of [["list", "--all"], ["show", "latest"], ["diff"], ["top", "latest"], ["verify"], ["doctor"], [
        "history",
        "run/run.json",
      ], ["label", "latest"]]
    ) {
      expect((await snapkeep([...args, "-s", folder])).code, args.join(" ")).toBe(0);
    }
    expect((await readdir(folder, { recursive: true })).sort()).toEqual(before);
    expect((await new StateStore(folder).list()).length).toBe(3);
  });
});
