// The two programs of the example, as two processes on a port that the system chooses.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { root, run } from "../../tools/run.mjs";

const isNode = (process.env["SNAPKEEP_RUNTIME"] ?? "node") === "node";
const program = (name: string) =>
  isNode ? path.join(root, `dist/examples/http_stream/${name}.js`) : path.join(root, `examples/http_stream/${name}.ts`);

describe("the example of streaming over HTTP", () => {
  let folder: string;
  let server: ChildProcess;
  let lines: AsyncIterator<string>;
  let url: string;

  /** The server's next line that holds a text. */
  async function line(text: string): Promise<string> {
    while (true) {
      const { value, done } = await lines.next();
      if (done) throw new Error(`the server ended before it said "${text}"`);
      if (String(value).includes(text)) return String(value);
    }
  }

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), "snapkeep-http-"));
    server = spawn(process.execPath, [program("server")], { stdio: ["ignore", "pipe", "inherit"], cwd: folder });
    if (server.stdout === null) throw new Error("the server has no output");
    lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
    url = /http:\/\/\S+/.exec(await line("listening on"))?.[0] ?? "";
  });

  afterEach(async () => {
    const ended = server.exitCode !== null || server.signalCode !== null ? undefined : once(server, "exit");
    server.kill("SIGKILL");
    await ended;
    await rm(folder, { recursive: true, force: true });
  });

  it("carries the state of one process to another, as it was at the request", async () => {
    for (const client of ["one", "two"]) {
      const { code, output } = await run(process.execPath, [program("client"), url, client], { cwd: folder });
      expect(output).toMatch(/^loaded \d{4}-\d\d-\d\d_\S+\.state: step \d+, cells [0-9a-f]{16}$/m);
      expect(code).toBe(0);
      const served = (await line("serving")).replace("serving ", "");
      expect(output).toContain(`: ${served}`);
      expect(await readdir(path.join(folder, client))).toEqual([]);
    }
    expect((await readdir(folder)).sort()).toEqual(["one", "two"]);
  });

  it("goes on serving after a client that went away", async () => {
    await new Promise<void>((resolve, reject) => {
      const request = get(url, (response) => {
        response.once("data", () => {
          response.destroy();
          resolve();
        });
      });
      request.on("error", reject);
    });
    const { code, output } = await run(process.execPath, [program("client"), url, "states"], { cwd: folder });
    expect(output).toContain("loaded ");
    expect(code).toBe(0);
  });

  it("has a client that changes nothing if the stream breaks off", async () => {
    const whole = new Uint8Array(await (await fetch(url)).arrayBuffer());
    const broken = createServer((_request, response) => {
      response.writeHead(200, { "content-length": whole.length });
      response.write(whole.subarray(0, whole.length >> 1), () => response.destroy());
    });
    broken.listen(0, "127.0.0.1");
    await once(broken, "listening");
    try {
      const { port } = broken.address() as AddressInfo;
      const { code, output } = await run(process.execPath, [program("client"), `http://127.0.0.1:${port}/`, "states"], {
        cwd: folder,
      });
      expect(code).not.toBe(0);
      expect(output).not.toContain("loaded ");
      expect(await readdir(path.join(folder, "states")).catch(() => [])).toEqual([]);
    } finally {
      broken.closeAllConnections();
      broken.close();
    }
  });
});
