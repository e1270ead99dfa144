// The game server as users run it: a client paints, the server is stopped or killed, and the next one shows the same world.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { root } from "../../tools/run.mjs";

const isNode = (process.env["SNAPKEEP_RUNTIME"] ?? "node") === "node";
const program = path.join(root, isNode ? "dist/examples/game_server/server.js" : "examples/game_server/server.ts");

interface Shown {
  readonly ticks: number;
  readonly tiles: Record<string, string>;
}

describe("the game server", () => {
  let folder: string;
  let server: ChildProcess | undefined;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), "snapkeep-game-"));
  });

  afterEach(async () => {
    await end("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  });

  /** Starts it on a port that the system chooses. */
  async function start() {
    const args = [...process.versions["deno"] === undefined ? [] : ["run", "-A"], program, "states", "0"];
    server = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"], cwd: folder });
    const lines: string[] = [];
    for await (const line of createInterface({ input: server.stdout! })) {
      lines.push(line);
      const port = /^listening on (\d+)/.exec(line)?.[1];
      if (port !== undefined) return { port, lines };
    }
    throw new Error(`it ended: ${lines.join("\n")}`);
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    const ending = server;
    server = undefined;
    if (ending?.pid === undefined) return;
    const exit = once(ending, "exit");
    process.kill(ending.pid, signal);
    await exit;
  }

  /** What a client sees in a room, once it has painted. */
  async function look(port: string, room: string, paint?: string): Promise<Shown> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/${room}`);
    try {
      await once(socket, "open");
      if (paint !== undefined) socket.send(paint);
      while (true) {
        const [data] = await once(socket, "message");
        const shown = JSON.parse(String(data)) as Shown;
        if (paint === undefined || Object.entries(shown.tiles).some((tile) => tile.join(" ") === paint)) return shown;
      }
    } finally {
      socket.close();
    }
  }

  it("shows a client the same world after a restart, and tells how its last run ended", async () => {
    const first = await start();
    expect(first.lines[0]).toBe("The first run.");
    await look(first.port, "forest", "a1 red");
    const before = await look(first.port, "cave", "b2 green");
    await end("SIGTERM");
    const second = await start();
    expect(second.lines[0]).toMatch(/^The last run was ended by SIGTERM at .*; nothing was lost\.$/);
    expect((await look(second.port, "forest")).tiles).toEqual({ a1: "red" });
    const after = await look(second.port, "cave");
    expect(after.tiles).toEqual(before.tiles);
    expect(after.ticks).toBeGreaterThanOrEqual(before.ticks);
    expect(await look(second.port, "harbour")).toMatchObject({ tiles: {} });
  });

  it("tells its health", async () => {
    const { port } = await start();
    const response = await fetch(`http://127.0.0.1:${port}/healthz`);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ status: "running", failuresInRow: 0, lastSnapshot: null });
    expect((await fetch(`http://127.0.0.1:${port}/other`)).status).toBe(404);
    const sign = path.join(folder, "states/.notes/last-run.json");
    while (await readFile(sign).then(() => false, () => true)) await new Promise((resolve) => setImmediate(resolve));
    await end("SIGKILL");
    const { lines } = await start();
    expect(lines[0]).toMatch(/^The last run was cut off;/);
    expect((await readdir(path.join(folder, "states"))).filter((name) => !name.startsWith("."))).toEqual([]);
  });

  it("has fewer than 80 lines", async () => {
    const text = await readFile(path.join(root, "examples/game_server/server.ts"), "utf8");
    expect(text.split("\n").length - 1).toBeLessThan(80);
  });
});
