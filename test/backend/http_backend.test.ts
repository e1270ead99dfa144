// An archive behind an HTTP address: read by ranges, held to the file it was at first, and never written to.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { isSnapshotError, locate, memoryBackend, SnapshotLocator, StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { httpBackend } from "../../src/backend/http_backend.ts";
import { Cell, Files, rejection } from "../store/states.ts";

const URL_OF_IT = new URL("https://example.org/states/2026-01-02_03-04-05,000000.state.tar.gz");
const bytesOfState = crypto.getRandomValues(new Uint8Array(60_000));

/** An archive with a part that the first request, for its end, does not bring. */
async function archive(): Promise<Uint8Array<ArrayBuffer>> {
  const noise = Object.fromEntries(
    Array.from({ length: 10 }, (_, index) => [`${index}.bin`, crypto.getRandomValues(new Uint8Array(60_000))]),
  );
  const store = new StateStore(memoryBackend(), { now: () => Date.UTC(2026, 0, 2, 3, 4, 5) })
    .register("files", new Files({ "first.bin": bytesOfState, ...noise }));
  return new Uint8Array(await new Response(store.streamState().body).arrayBuffer());
}

type Answer = (range: { from: number; to: number }) => Response | Promise<Response> | undefined;

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

/** A server in memory that does as asked, but where `answer` says otherwise. */
function served(bytes: Uint8Array<ArrayBuffer>, answer: Answer = () => undefined, idleMs = 30_000) {
  const requests: Headers[] = [];
  const ask = async (_url: unknown, init: RequestInit = {}) => {
    const headers = new Headers(init.headers);
    requests.push(headers);
    const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(headers.get("range") ?? "") ?? [];
    const from = first === "" ? Math.max(0, bytes.length - Number(last)) : Number(first);
    const to = first === "" || last === "" ? bytes.length : Number(last) + 1;
    return answer({ from, to }) ?? partOf(bytes, from, to);
  };
  const options = { fetch: ask as typeof fetch, headers: { authorization: "me" }, idleMs };
  const { backend, unit } = httpBackend(URL_OF_IT, options);
  return { backend, unit, requests, locator: new SnapshotLocator(backend, [unit]) };
}

function partOf(bytes: Uint8Array<ArrayBuffer>, from: number, to: number, headers: Record<string, string> = {}) {
  return new Response(bytes.slice(from, to), {
    status: 206,
    headers: { "content-range": `bytes ${from}-${to - 1}/${bytes.length}`, etag: '"1"', ...headers },
  });
}

/**
 * A body that begins with some bytes and then goes on for longer than anybody may listen, or never again sends anything; it
 * counts what was taken.
 */
function endless(first: Uint8Array<ArrayBuffer>, isStalled: boolean) {
  const seen = { sentBytes: first.length, isCancelled: false };
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => controller.enqueue(first),
    pull(controller) {
      if (isStalled) return new Promise<void>(() => {});
      if (seen.sentBytes > 2 ** 24) controller.close();
      else controller.enqueue(new Uint8Array(64 * 1024));
      seen.sentBytes += 64 * 1024;
      return undefined;
    },
    cancel() {
      seen.isCancelled = true;
    },
  }, { highWaterMark: 0 });
  return { body, seen };
}

describe("an archive behind an address", () => {
  it("is opened by its end, and one entry is fetched by itself", async () => {
    const { locator, requests } = served(await archive());
    await using reader = await locator.open();
    expect(await reader.bytes("files/first.bin")).toEqual(bytesOfState);
    expect(requests.length).toBeLessThanOrEqual(3);
    for (const headers of requests) {
      expect([headers.get("authorization"), headers.get("accept-encoding")]).toEqual(["me", "identity"]);
    }
    expect(requests.at(-1)?.get("if-match")).toBe('"1"');
  });

  it("is verified, listed and loaded like any other", async () => {
    const { locator, backend, unit } = served(await archive());
    expect(await locator.verify()).toMatchObject({ isWhole: true, entries: 11 });
    expect(await all(backend.list())).toEqual([unit]);
    const files = new Files();
    await new StateStore(memoryBackend()).register("files", files).loadState(locator);
    expect(files.files.get("first.bin")).toEqual(bytesOfState);
    expect(await backend.open("other.state.tar.gz")).toBeUndefined();
  });

  it.each([404, 410])("is not found where the server answers %i", async (status) => {
    const { locator, backend } = served(await archive(), () => new Response("", { status }));
    expect(await locator.exists()).toBe(false);
    expect(await all(backend.list())).toEqual([]);
    expect(await rejection(locator.open())).toMatchObject({ code: "SNAPSHOT_NOT_FOUND" });
  });

  it.each<[string, RegExp, (bytes: Uint8Array<ArrayBuffer>) => Response]>([
    ["answers no ranges", /answers no range requests/, (bytes) => new Response(bytes)],
    ["is in trouble", /503/, () => new Response("", { status: 503 })],
    ["does not say which range it is", /206/, (bytes) => new Response(bytes.slice(-100), { status: 206 })],
    ["sends nothing", /206/, (bytes) => {
      const headers = { "content-range": `bytes ${bytes.length - 10}-${bytes.length - 1}/${bytes.length}` };
      return new Response(null, { status: 206, headers });
    }],
    ["sends less than it says", /206/, (bytes) => {
      const start = bytes.length - 1000;
      return new Response(bytes.slice(-10), {
        status: 206,
        headers: { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` },
      });
    }],
  ])("is STORAGE_FAILED where the server %s", async (_, reason, answer) => {
    const bytes = await archive();
    const { locator } = served(bytes, () => answer(bytes));
    const error = await rejection(locator.open());
    expect(isSnapshotError(error, "STORAGE_FAILED"), String(error)).toBe(true);
    expect(String(error)).toMatch(reason);
  });

  it("is STORAGE_FAILED where the network fails, with its reason beneath", async () => {
    const reason = new TypeError("fetch failed");
    const { locator } = served(await archive(), () => {
      throw reason;
    });
    expect(await rejection(locator.open())).toMatchObject({ code: "STORAGE_FAILED", cause: reason });
  });

  type Later = (bytes: Uint8Array<ArrayBuffer>, from: number, to: number) => Response;
  it.each<[string, string, Later]>([
    ["another file, by the server's word", "SNAPSHOT_CHANGED", () => new Response("", { status: 412 })],
    ["all of another file", "SNAPSHOT_CHANGED", (bytes) => new Response(bytes)],
    ["a file that is too short", "SNAPSHOT_CHANGED", () => new Response("", { status: 416 })],
    ["another tag", "SNAPSHOT_CHANGED", (bytes, from, to) => partOf(bytes, from, to, { etag: '"2"' })],
    ["another time", "SNAPSHOT_CHANGED", (bytes, from, to) => partOf(bytes, from, to, { "last-modified": "now" })],
    [
      "another size",
      "SNAPSHOT_CHANGED",
      (bytes, from, to) => partOf(bytes, from, to, { "content-range": `bytes ${from}-${to - 1}/${bytes.length + 1}` }),
    ],
    ["too few bytes", "STORAGE_FAILED", (bytes, from, to) => {
      const whole = partOf(bytes, from, to);
      return new Response(bytes.slice(from, to - 1), { status: 206, headers: whole.headers });
    }],
    ["trouble", "STORAGE_FAILED", () => new Response("", { status: 500 })],
  ])("fails where a later request finds %s", async (_, code, later) => {
    const bytes = await archive();
    let isOpen = false;
    const { locator } = served(bytes, ({ from, to }) => isOpen ? later(bytes, from, to) : undefined);
    await using reader = await locator.open();
    isOpen = true;
    const error = await rejection(reader.bytes("files/first.bin"));
    expect(isSnapshotError(error) && error.code, String(error)).toBe(code);
  });

  it("is STORAGE_FAILED where the server sends more than was asked for, and that is not taken", async () => {
    const bytes = await archive();
    for (const isFirst of [true, false]) {
      const { body, seen } = endless(new Uint8Array(10), false);
      let isOpen = false;
      const { backend, unit } = served(bytes, ({ from, to }) => {
        const { headers } = partOf(bytes, from, to);
        return isOpen === isFirst ? undefined : new Response(body, { status: 206, headers });
      });
      const reading = async () => {
        const blob = await backend.open(unit);
        isOpen = true;
        await blob?.read(0, 1000);
      };
      expect(await rejection(reading())).toMatchObject({ code: "STORAGE_FAILED" });
      expect(seen.isCancelled).toBe(true);
      expect(seen.sentBytes).toBeLessThan(2 ** 20);
    }
  });

  it("is STORAGE_FAILED where the server's file ends with more than the end that was asked for", async () => {
    const { body, seen } = endless(new Uint8Array(10), false);
    const headers = { "content-range": `bytes 0-${2 ** 50 - 1}/${2 ** 50}` };
    const { locator } = served(await archive(), () => new Response(body, { status: 206, headers }));
    expect(await rejection(locator.open())).toMatchObject({ code: "STORAGE_FAILED" });
    expect(seen.sentBytes).toBeLessThan(2 ** 20);
  });

  it.each([
    ["does not answer", () => new Promise<Response>(() => {})],
    [
      "answers and sends no more than the beginning",
      (bytes: Uint8Array<ArrayBuffer>, from: number, to: number) => {
        const { body } = endless(bytes.slice(from, from + 10), true);
        return new Response(body, { status: 206, headers: partOf(bytes, from, to).headers });
      },
    ],
  ])("is given up as STORAGE_FAILED where the server %s", async (_, stalled) => {
    const bytes = await archive();
    for (const isFirst of [true, false]) {
      let isOpen = false;
      const answer: Answer = ({ from, to }) => isOpen === isFirst ? undefined : stalled(bytes, from, to);
      const { locator } = served(bytes, answer, 50);
      const reading = async () => {
        await using reader = await locator.open();
        isOpen = true;
        await reader.bytes("files/first.bin");
      };
      const error = await rejection(reading());
      expect(error).toMatchObject({ code: "STORAGE_FAILED", details: { errno: "TimeoutError" } });
      expect(String(error)).toMatch(/sent nothing for 50 ms/);
    }
  });

  it("cannot be located by an address whose end is no text", () => {
    const attempt = () => locate(new URL("https://example.org/%ff.tar.gz"));
    expect(attempt).toThrow(expect.objectContaining({ code: "NAME_UNSAFE" }));
  });

  it("is read-only", async () => {
    const { backend, locator } = served(await archive());
    const refused: (() => Promise<unknown>)[] = [
      () => backend.create(),
      () => backend.stage("x.state.tar.gz"),
      () => backend.remove("x.state.tar.gz"),
      () => backend.sweep(0),
      () => backend.notes.put("x.state", new Uint8Array()),
      () => backend.notes.remove("x.state"),
      () => locator.pin(),
      () => locator.remove(),
    ];
    for (const attempt of refused) {
      const error = await rejection(attempt());
      expect(isSnapshotError(error, "STORAGE_FAILED"), String(error)).toBe(true);
      expect(String(error)).toMatch(/read-only/);
    }
  });

  it("is STORAGE_FAILED, with what to do, where it has no table", async () => {
    const plain = new StateStore(memoryBackend()).register("cell", new Cell(1)).streamState({ compression: "none" });
    const packed = new Response(plain.body).body?.pipeThrough(new CompressionStream("gzip"));
    const { locator } = served(new Uint8Array(await new Response(packed).arrayBuffer()));
    expect(String(await rejection(locator.open()))).toMatch(/importSnapshot or loadState/);
  });

  it("is located by its address, on a real server", async () => {
    const bytes = await archive();
    const server = createServer((request, response) => {
      const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
      const from = first === "" ? Math.max(0, bytes.length - Number(last)) : Number(first);
      const to = first === "" ? bytes.length : Number(last) + 1;
      response.writeHead(206, { "content-range": `bytes ${from}-${to - 1}/${bytes.length}` });
      response.end(bytes.subarray(from, to));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const address = new URL(`http://127.0.0.1:${port}/states/2026-01-02_03-04-05,000000.state.tar.gz`);
      expect(await locate(address).verify()).toMatchObject({ isWhole: true, entries: 11 });
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
