// An archive behind an HTTP address: read by ranges, held to the file it was at first, and never written to.
import { spawn, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { isSnapshotError, locate, memoryBackend, SnapshotLocator, StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { httpBackend } from "../../src/backend/http_backend.ts";
import { Cell, Files, rejection } from "../store/states.ts";
import type { BlobReader } from "snapkeep/backend";
import { readBytes } from "../../src/runtime/reading.ts";

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

// The servers run on Node, whatever runs the tests.
const hasNode = spawnSync("node", ["--version"]).status === 0;

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
    const headers = { "content-encoding": "gzip" }; // of the page that says so
    const { locator, backend } = served(await archive(), () => new Response("", { status, headers }));
    expect(await locator.exists()).toBe(false);
    expect(await all(backend.list())).toEqual([]);
    expect(await rejection(locator.open())).toMatchObject({ code: "SNAPSHOT_NOT_FOUND" });
  });

  it.each([undefined, 5, {}])("says what fetch must return when it returns %j", async (answer) => {
    const fetch = (() => Promise.resolve(answer)) as unknown as typeof globalThis.fetch;
    const error = await rejection(locate(URL_OF_IT, { fetch }).open());
    expect(error).toMatchObject({ code: "STORAGE_FAILED" });
    expect(String(error)).toContain("fetch must return a Response");
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

  it.each<[string, Error, string]>([
    [
      "a refused connection",
      Object.assign(new Error("connect ECONNREFUSED ::1:9"), { code: "ECONNREFUSED" }),
      "ECONNREFUSED",
    ],
    [
      "a refused connection to each address",
      Object.assign(new AggregateError([]), { code: "ECONNREFUSED" }),
      "ECONNREFUSED",
    ],
    ["an unknown host", Object.assign(new Error("getaddrinfo ENOTFOUND nope"), { code: "ENOTFOUND" }), "ENOTFOUND"],
    [
      "a certificate that is not trusted",
      Object.assign(new Error("self-signed certificate"), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" }),
      "DEPTH_ZERO_SELF_SIGNED_CERT",
    ],
  ])("names the cause that the runtime hides when fetch fails for %s", async (_what, cause, code) => {
    const { locator } = served(await archive(), () => {
      throw new TypeError("fetch failed", { cause });
    });
    const error = await rejection(locator.open());
    expect(error).toMatchObject({ code: "STORAGE_FAILED", details: { errno: code } });
    expect(String(error)).toMatch(/: fetch failed/);
    expect(String(error)).toContain(cause.message);
    expect(String(error)).toContain(code);
  });

  it.each([401, 403, 429, 500, 503])(
    "is refused at the first answer when it is %i, though HEAD would work",
    async (status) => {
      const bytes = await archive();
      const methods: string[] = [];
      const ask = (_url: unknown, { method = "GET", headers }: RequestInit = {}) => {
        methods.push(method);
        const range = new Headers(headers).get("range") ?? "";
        if (method === "HEAD") {
          return Promise.resolve(new Response(null, { headers: { "content-length": String(bytes.length) } }));
        }
        const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range) ?? [];
        const isFirst = from === undefined;
        return Promise.resolve(isFirst ? new Response("", { status }) : partOf(bytes, Number(from), Number(to) + 1));
      };
      const error = await rejection(locate(URL_OF_IT, { fetch: ask as typeof fetch }).open());
      expect(error).toMatchObject({ code: "STORAGE_FAILED", details: { errno: `HTTP_${status}` } });
      expect(String(error)).toContain(`the server answered ${status}`);
      expect(methods).toEqual(["GET"]);
    },
  );

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
        await readBytes(blob as BlobReader, 0, 1000);
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
  ])("is aborted as STORAGE_FAILED where the server %s", async (_, stalled) => {
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
    const plain = new StateStore(memoryBackend()).register("cell", new Cell(1)).streamState({ layout: "tar" });
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

  it.each([
    ["416 with the size", 416, (size: number) => `bytes */${size}`],
    ["416 alone", 416, () => undefined],
    ["400", 400, () => undefined],
    ["501", 501, () => undefined],
    ["200 and the whole file", 200, () => undefined],
    ["206 with the beginning", 206, (size: number) => `bytes 0-262144/${size}`],
    ["206 with a size that it does not know", 206, (size: number) => `bytes ${size - 262_144}-${size - 1}/*`],
  ])("is read by explicit ranges where the server answers suffix ranges with %s", async (_, status, range) => {
    const bytes = await archive();
    for (const mayHead of [true, false]) {
      const methods: string[] = [];
      const ask = (_url: unknown, { method = "GET", headers }: RequestInit = {}) => {
        methods.push(method);
        const wanted = new Headers(headers).get("range") ?? "";
        if (method === "HEAD") {
          const told = { "content-length": String(bytes.length) };
          return Promise.resolve(mayHead ? new Response(null, { headers: told }) : new Response(null, { status: 405 }));
        }
        const told = range(bytes.length);
        if (wanted.startsWith("bytes=-")) {
          return Promise.resolve(
            new Response("junk", { status, headers: told === undefined ? {} : { "content-range": told } }),
          );
        }
        const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(wanted) ?? [];
        return Promise.resolve(partOf(bytes, Number(from), Number(to) + 1));
      };
      const locator = locate(URL_OF_IT, { fetch: ask as typeof fetch });
      expect(await locator.verify()).toMatchObject({ isWhole: true, entries: 11 });
      expect(methods.filter((method) => method === "HEAD").length).toBeLessThanOrEqual(2);
    }
  });

  it("is STORAGE_FAILED where the server tells its size in no answer, and asks no further", async () => {
    const wanted: string[] = [];
    const ask = (_url: unknown, { method, headers }: RequestInit = {}) => {
      const range = new Headers(headers).get("range") ?? "";
      if (method !== "HEAD") wanted.push(range);
      const part = { status: 206, headers: { "content-range": "bytes 0-0/*" } };
      return Promise.resolve(range === "bytes=0-0" ? new Response("x", part) : new Response(null, { status: 416 }));
    };
    const error = await rejection(locate(URL_OF_IT, { fetch: ask as typeof fetch }).open());
    expect(error).toMatchObject({ code: "STORAGE_FAILED" });
    expect(String(error)).toContain("bytes=0-0");
    expect(wanted.at(-1)).toBe("bytes=0-0");
  });

  it("is STORAGE_FAILED where the server answers every range with all of a file, of which nothing is taken", async () => {
    const { body, seen } = endless(new Uint8Array(10), false);
    const ask = (_url: unknown, { method }: RequestInit = {}) =>
      Promise.resolve(
        method === "HEAD"
          ? new Response(null, { headers: { "content-length": String(2 ** 40) } })
          : new Response(method === "GET" && seen.isCancelled ? "x" : body),
      );
    const error = await rejection(locate(URL_OF_IT, { fetch: ask as unknown as typeof fetch }).open());
    expect(error).toMatchObject({ code: "STORAGE_FAILED" });
    expect(String(error)).toMatch(/answers no range requests.*importSnapshot or loadState/);
    expect(seen.sentBytes).toBeLessThan(2 ** 20);
  });

  it("names the range asked for and the one received where a Content-Range lies", async () => {
    const bytes = await archive();
    let isOpen = false;
    const { backend, unit } = served(bytes, ({ from, to }) => {
      const headers = { "content-range": `bytes ${from + 1}-${to}/${bytes.length}` };
      return isOpen ? partOf(bytes, from, to, headers) : undefined;
    });
    const blob = await backend.open(unit);
    isOpen = true;
    const error = await rejection(readBytes(blob as BlobReader, 0, 1000));
    expect(error).toMatchObject({ code: "STORAGE_FAILED", details: { errno: "HTTP_206" } });
    expect(String(error)).toContain(`"bytes 1-1000/${bytes.length}" where "bytes=0-999" was asked for`);
  });

  it("is STORAGE_FAILED that names the encoding where the server compresses on the way", async () => {
    const bytes = await archive();
    const headers = { "content-encoding": "gzip" };
    const { locator } = served(bytes, ({ from, to }) => partOf(bytes, from, to, headers));
    const error = await rejection(locator.open());
    expect(error).toMatchObject({ code: "STORAGE_FAILED" });
    expect(String(error)).toContain("Content-Encoding: gzip");
  });

  const SECRET_URL = "https://user:pass%20word@example.org/a/x.state.tar.gz?X-Amz-Signature=s1gnature&token=t0ken";
  const SECRETS = /pass|s1gnature|t0ken|user:|bearer-me|dXNlcj/;

  /** All texts of an error and its causes. */
  const textsOf = (error: unknown): string => {
    const { stack = "", cause, details } = error as Error & { details?: unknown };
    return `${String(error)} ${stack} ${JSON.stringify(details)} ${cause === undefined ? "" : textsOf(cause)}`;
  };

  it("is asked for with the user and query of its URL, which no address and no message shows", async () => {
    const asked: { url: string; headers: Headers }[] = [];
    const ask = (url: string | URL | Request, init: RequestInit = {}) => {
      asked.push({ url: new Request(url).url, headers: new Headers(init.headers) });
      const cause = new TypeError(`Failed to parse URL from ${SECRET_URL}`);
      return asked.length === 1
        ? Promise.resolve(new Response("", { status: 403 }))
        : Promise.reject(new TypeError("fetch failed", { cause }));
    };
    const locator = locate(SECRET_URL, { fetch: ask as typeof fetch });
    expect(`${locator} ${locator.uri} ${locator.backend.uri}`).not.toMatch(SECRETS);
    for (let attempt = 0; attempt < 2; attempt++) {
      const error = await rejection(locator.open());
      expect(error).toMatchObject({ code: "STORAGE_FAILED" });
      expect(textsOf(error)).not.toMatch(SECRETS);
      expect(String(error)).toContain("https://example.org/a/x.state.tar.gz?…");
    }
    expect(asked[0]?.url).toBe("https://example.org/a/x.state.tar.gz?X-Amz-Signature=s1gnature&token=t0ken");
    expect(asked[0]?.headers.get("authorization")).toBe(`Basic ${btoa("user:pass word")}`);
  });

  it.each<[string, ResponseInit]>([
    ["status", { status: 403, statusText: `no ${"-".repeat(91)} s1gnature, t0ken and bearer-me` }],
    ["range", { status: 206, headers: { "content-range": "t0ken, Bearer bearer-me" } }],
    ["encoding", { status: 200, headers: { "content-encoding": "bearer-me" } }],
  ])("does not show a secret that the server repeats in its %s", async (_, init) => {
    const ask = (_url: unknown) => Promise.resolve(new Response("", init));
    const headers = { "x-key": "Bearer bearer-me" };
    const error = await rejection(locate(SECRET_URL, { headers, fetch: ask as typeof fetch }).open());
    expect(error).toMatchObject({ code: "STORAGE_FAILED" });
    expect(textsOf(error)).not.toMatch(/s1gn|t0ken|bearer-me/);
  });

  it("shows what the caller can read where the server repeats it: that is no secret", async () => {
    const ask = (_url: unknown) => Promise.resolve(new Response("", { headers: { "content-encoding": "gzip" } }));
    const headers = { "accept-encoding": "gzip", "user-agent": "node" };
    const error = await rejection(locate(SECRET_URL, { headers, fetch: ask as typeof fetch }).open());
    expect(String(error)).toContain("Content-Encoding: gzip");
  });

  it.each<[string, () => unknown]>([
    ["another scheme", () => locate("s3://user:pass@bucket/x.tar.gz?token=t0ken")],
    ["a URL that is none", () => locate("https://user:pass@[/x.tar.gz?token=t0ken")],
    ["a store", () => new StateStore("https://user:pass@example.org/?token=t0ken")],
    [
      "a header that is none",
      () => locate("https://example.org/x.tar.gz", { headers: { authorization: "bearer-me\n\0" } }),
    ],
  ])("is refused without a secret where it is %s", (_, attempt) => {
    expect(attempt).toThrow(TypeError);
    try {
      attempt();
    } catch (error) {
      expect(textsOf(error)).not.toMatch(SECRETS);
    }
  });

  it("takes headers along a redirect of its origin, and never to another one", async () => {
    const bytes = await archive();
    const asked: [string, string | null][] = [];
    const hops: Record<string, string> = {
      "/a/x.state.tar.gz": "/b/x",
      "/b/x": "https://elsewhere.example/c/x?X-Amz-Signature=s1gnature",
      "/c/x": "https://example.org/d/x",
    };
    const ask = (url: string | URL | Request, init: RequestInit = {}) => {
      expect(init.redirect).toBe("manual");
      const { pathname, origin } = new URL(new Request(url).url);
      const headers = new Headers(init.headers);
      asked.push([origin + pathname, headers.get("authorization")]);
      const location = hops[pathname];
      if (location !== undefined) return Promise.resolve(new Response(null, { status: 302, headers: { location } }));
      const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(headers.get("range") ?? "") ?? [];
      const from = first === "" ? Math.max(0, bytes.length - Number(last)) : Number(first);
      return Promise.resolve(partOf(bytes, from, first === "" ? bytes.length : Number(last) + 1));
    };
    const headers = { authorization: "bearer-me" };
    const locator = locate("https://example.org/a/x.state.tar.gz", { headers, fetch: ask as typeof fetch });
    expect((await locator.stat()).entries).toBe(11);
    expect(asked.slice(0, 4)).toEqual([
      ["https://example.org/a/x.state.tar.gz", "bearer-me"],
      ["https://example.org/b/x", "bearer-me"],
      ["https://elsewhere.example/c/x", null],
      ["https://example.org/d/x", null],
    ]);
  });

  it.each([
    ["never ends", "https://example.org/a/x.state.tar.gz", /more than 5 times/],
    ["leads from https to http", "http://example.org/x?token=t0ken", /from https to http/],
    ["leads to another scheme", "file:///etc/passwd", /not an http: or https: URL/],
  ])("is STORAGE_FAILED where a redirect %s", async (_, location, reason) => {
    let asked = 0;
    const ask = (_url: unknown) => {
      asked++;
      return Promise.resolve(new Response(null, { status: 307, headers: { location } }));
    };
    const error = await rejection(
      locate("https://example.org/a/x.state.tar.gz", { fetch: ask as typeof fetch }).open(),
    );
    expect(error).toMatchObject({ code: "STORAGE_FAILED" });
    expect(textsOf(error)).toMatch(reason);
    expect(textsOf(error)).not.toMatch(SECRETS);
    expect(asked).toBeLessThanOrEqual(6);
  });

  it("is located with options that exist, of addresses that are fetched", () => {
    const unknown = { header: {} } as object;
    expect(() => locate("https://example.org/x.tar.gz", unknown)).toThrow(/no option "header".*"headers"/);
    expect(() => locate("states/x.state", { headers: {} })).toThrow(/only http: and https: URLs are fetched/);
    expect(() => locate("https://example.org/x.tar.gz", { fetch: 1 as unknown as typeof fetch })).toThrow(/a function/);
  });

  it.skipIf(!hasNode).each(["express.static", "serve-handler", "sirv"])("is read from %s", async (kind) => {
    const bytes = await archive();
    const folder = await mkdtemp(path.join(tmpdir(), "snapkeep-served-"));
    for (const name of ["x.state.tar.gz", "x.state.tgz"]) await writeFile(path.join(folder, name), bytes);
    const small = new StateStore(memoryBackend()).register("cell", new Cell(1)).streamState().body;
    await writeFile(path.join(folder, "small.state.tgz"), new Uint8Array(await new Response(small).arrayBuffer()));
    const program = path.resolve(import.meta.dirname, "../children/static_server.mjs");
    const server = spawn("node", [program, kind, folder], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      const port = await new Promise<string>((resolve, reject) => {
        server.stdout.once("data", (data) => resolve(String(data).trim()));
        server.once("exit", () => reject(new Error("the server ended")));
      });
      const at = `http://127.0.0.1:${port}`;
      // sirv declares every file that ends with .gz as compressed on the way.
      if (kind === "sirv") {
        expect(String(await rejection(locate(`${at}/x.state.tar.gz`).open()))).toContain("Content-Encoding: gzip");
      } else expect(await locate(`${at}/x.state.tar.gz`).verify()).toMatchObject({ isWhole: true, entries: 11 });
      expect(await locate(`${at}/x.state.tgz`).verify()).toMatchObject({ isWhole: true, entries: 11 });
      expect(await locate(`${at}/small.state.tgz`).verify()).toMatchObject({ isWhole: true, entries: 1 });
      expect(await locate(`${at}/gone.state.tar.gz`).exists()).toBe(false);
    } finally {
      server.kill();
      await rm(folder, { recursive: true });
    }
  });
});
