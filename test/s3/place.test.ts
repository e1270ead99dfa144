// Programs on an object store: stores, keepers, labels, copies and addresses work as on files; what a bucket holds is hostile.
import { CreateMultipartUploadCommand, PutObjectCommand, type S3Client, UploadPartCommand } from "@aws-sdk/client-s3";
import path from "node:path";
import process from "node:process";
import { keepLatest, LatestStatesKeeper, locate, RetentionKeeper, StateStore } from "snapkeep";
import { s3Backend, type S3Options } from "snapkeep/s3";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { credentials } from "../../tools/object_store.mjs";
import { temporaryFolder } from "../backend/temporary.ts";
import { collectWarnings } from "../backend/warnings.ts";
import { type FaultProxy, faultProxy } from "./fault_proxy.ts";
import { hasObjectStore, objectStore } from "./object_store.ts";

const here = objectStore();
const MIB = 1024 * 1024;
const keys = { AWS_ACCESS_KEY_ID: credentials.accessKeyId, AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey };

let client: S3Client;
let proxy: FaultProxy;
let place: S3Options & { readonly url: string };

const where = () => {
  const [Bucket = "", ...prefix] = place.url.slice("s3://".length).split("/");
  return { Bucket, prefix: `${prefix.join("/")}/` };
};
const put = async (key: string, body = "x") => {
  const { Bucket, prefix } = where();
  await client.send(new PutObjectCommand({ Bucket, Key: prefix + key, Body: body }));
};
const backendHere = (options: Partial<S3Options> = {}) => s3Backend({ ...place, endpoint: proxy.endpoint, ...options });

/** A store with a large state and a small one. */
function storeOn(on: ConstructorParameters<typeof StateStore>[0], values: { big: Uint8Array; small: number }) {
  return new StateStore(on, { layout: "tar.gz", startFresh: true })
    .register("big", {
      saveState: (out) => out.write("big.bin", values.big),
      loadState: async (from) => void (values.big = await from.bytes("big.bin")),
    })
    .register("small", {
      saveState: (out) => out.json("small.json", values.small),
      loadState: async (from) => void (values.small = await from.json("small.json") as number),
    });
}

function noise(sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let offset = 0; offset < sizeBytes; offset += 65_536) {
    crypto.getRandomValues(bytes.subarray(offset, offset + 65_536));
  }
  return bytes;
}

describe.skipIf(!hasObjectStore)("s3Backend", () => {
  beforeAll(async () => {
    client = here.client();
    proxy = await faultProxy(here.endpoint, client);
  });
  beforeEach(async () => {
    place = await here.place();
    proxy.take();
  });
  afterEach(() => {
    for (const name of ["AWS_ENDPOINT_URL", ...Object.keys(keys)]) delete process.env[name];
  });
  afterAll(async () => {
    await proxy?.close();
    client?.destroy();
  });

  it.each(["directory", "tar.gz"] as const)("saves, resumes, labels and removes snapshots as %s", async (layout) => {
    const values = { big: noise(300_000), small: 1 };
    const store = storeOn(backendHere(), values);
    const saved = await store.saveState({ layout, labels: { step: 1, pinned: true } });
    await saved.label({ tags: ["good"] });
    expect(await saved.labels()).toMatchObject({ step: 1, pinned: true, tags: ["good"] });
    const { big } = values;
    Object.assign(values, { big: new Uint8Array(), small: 0 });
    const { outcome } = await storeOn(backendHere(), values).resume();
    expect([outcome, values.small]).toEqual(["resumed", 1]);
    expect(values.big).toEqual(big);
    expect((await saved.verify()).isWhole).toBe(true);
    expect(await saved.remove({ keepPinned: true })).toBe(false);
    await saved.unpin();
    expect(await saved.remove({ keepPinned: true })).toBe(true);
    expect(await saved.exists()).toBe(false);
  });

  it("moves snapshots from files to the store and back, byte for byte", async () => {
    const values = { big: noise(2 * MIB), small: 7 };
    const local = storeOn(path.join(await temporaryFolder(), "states"), values);
    const saved = await local.saveState();
    const remote = new StateStore(backendHere());
    const there = await remote.importSnapshot(saved);
    await expect(remote.importSnapshot(saved)).rejects.toMatchObject({ code: "SNAPSHOT_EXISTS" });
    const back = new StateStore(path.join(await temporaryFolder(), "back"));
    const returned = await back.importSnapshot(there);
    expect(await new Response(returned.stream()).bytes()).toEqual(await new Response(saved.stream()).bytes());
    const exported = await there.exportTo(path.join(await temporaryFolder(), "folder"));
    expect((await exported.verify()).isWhole).toBe(true);
  });

  it("reads one small state of a large archive by a few small requests", async () => {
    const values = { big: noise(12 * MIB), small: 7 };
    const saved = await storeOn(backendHere(), values).saveState();
    proxy.take();
    const reader = await saved.open();
    expect(await reader.json("small/small.json")).toBe(7);
    await reader.close();
    const ranges = proxy.take().map(({ headers }) => /^bytes=(\d*)-(\d+)$/.exec(String(headers["range"])));
    expect(ranges.length).toBeLessThanOrEqual(3); // the end, the first header, and perhaps the member
    const bytes = ranges.map((range) => Number(range?.[2]) - Number(range?.[1] ?? 0));
    expect(bytes.every((each) => each <= MIB)).toBe(true);
  });

  it("costs as many requests as the guide says", async () => {
    const values = { big: noise(1000), small: 7 };
    const store = storeOn(backendHere(), values);
    await store.saveState(); // which probes and sweeps first
    const costs: Record<string, number> = {};
    const count = async (what: string, work: () => Promise<unknown>) => {
      proxy.take();
      await work();
      costs[what] = proxy.take().length;
    };
    await count("directory of two entries", () => store.saveState({ layout: "directory" }));
    await count("archive", () => store.saveState());
    await count("prune of a directory", () => new LatestStatesKeeper(store, 2).cleanup());
    expect(costs).toEqual({ "directory of two entries": 13, "archive": 11, "prune of a directory": 24 });
  });

  it("lists by pages alone, and passes over the blobs of large groups", async () => {
    const many = Array.from({ length: 2100 }, (_, index) => `1.state/s/${String(index).padStart(5, "0")}`);
    const late = many.map((key) => key.replace("/s/", "/a/")); // before the manifest, and behind it
    const small = Array.from({ length: 100 }, (_, index) => `2-${String(index).padStart(3, "0")}.state`);
    const all = [...many, ...late, "1.state/manifest.json"];
    for (const name of small) all.push(`${name}/a/b`, `${name}/manifest.json`);
    for (let start = 0; start < all.length; start += 64) {
      await Promise.all(all.slice(start, start + 64).map((key) => put(key)));
    }
    const backend = backendHere();
    const units: string[] = [];
    for await (const unit of backend.list()) units.push(unit);
    expect(units).toEqual(["1.state/", ...small.map((name) => `${name}/`)]);
    const requests = proxy.take();
    expect(requests.every(({ target }) => target.includes("list-type=2"))).toBe(true);
    expect(requests.length).toBeLessThanOrEqual(5);
    const after: string[] = [];
    for await (const unit of backend.list({ after: "2-098.state/" })) after.push(unit);
    expect(after).toEqual(["2-099.state/"]);
  });

  it("keeps the newest by listing, and opens none but what it keeps", async () => {
    const values = { big: noise(10), small: 0 };
    const store = storeOn(backendHere(), values);
    for (; values.small < 6; values.small++) await store.saveState();
    const keeper = new RetentionKeeper(store, [keepLatest(2)]);
    proxy.take();
    await keeper.plan();
    const planned = proxy.take();
    expect(planned.every(({ method, target }) => method === "GET" && target.includes("list-type"))).toBe(true);
    expect(await new LatestStatesKeeper(store, 2).cleanup()).toHaveLength(4);
    expect(await store.list()).toHaveLength(2);
  });

  it("passes over keys that are no snapshots, and refuses unsafe ones", async () => {
    const strange = [
      "../up/manifest.json",
      "a/b/manifest.json",
      "logs/today.txt",
      "x.state//manifest.json",
      "readme.txt",
    ];
    const unsafe = ["nul/manifest.json", "a:b/manifest.json", " /manifest.json", "x\u0001.tar.gz", "é\u0301\u0000"];
    for (const key of [...strange, ...unsafe.slice(0, 4), "ok.state/manifest.json", "ok.state/../up", "ok.state/a/"]) {
      await put(key, key === "ok.state/a/" ? "" : "x").catch(() => {}); // the server may refuse it itself
    }
    const backend = backendHere();
    const units: string[] = [];
    for await (const unit of backend.list()) units.push(unit);
    expect(units).toEqual(["ok.state/"]);
    expect(await backend.open("ok.state/", "../up")).toBeUndefined();
    expect(await backend.open("ok.state/", "..")).toBeUndefined();
    const regular: string[] = [];
    for await (const { path, isRegular } of backend.blobs("ok.state/")) if (isRegular) regular.push(path);
    expect(regular).toEqual(["manifest.json"]);
  });

  it("sweeps what a dead writer left: its parts, its blobs, last its claim", async () => {
    const { Bucket, prefix } = where();
    const claim = (unit: string) => JSON.stringify({ format: "snapkeep-claim", unit, purpose: "stage", id: "dead.1" });
    const upload = async (Key: string) => {
      const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
      await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: new Uint8Array(100) }));
    };
    await put(".claims/1.state.json", claim("1.state/"));
    await put("1.state/a/b");
    await upload(`${prefix}1.state/a/big`);
    await put(".claims/2.state.json", claim("2.state.tar.gz"));
    await upload(`${prefix}2.state.tar.gz`);
    await put(".claims/3.state.json", claim("3.state/")); // committed: it counts for nothing
    await put("3.state/manifest.json");
    await put(".claims/4.state.json", "not a claim");
    await put(".claims/../evil.json", "not a claim");
    const backend = backendHere();
    expect(await backend.sweep(60_000)).toEqual([]);
    expect(await backend.sweep(0)).toEqual(["1.state/", "2.state.tar.gz"]);
    const { ListMultipartUploadsCommand, ListObjectsV2Command } = await import("@aws-sdk/client-s3");
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: prefix }));
    expect(Uploads).toEqual([]);
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket, Prefix: prefix }));
    expect(Contents.map(({ Key = "" }) => Key.slice(prefix.length))).toEqual([
      ".claims/../evil.json",
      "3.state/manifest.json",
    ]);
  });

  it("fails with STAGE_LOST where another program has taken over the claim, and leaves nothing of its own", async () => {
    for (const unit of ["1.state/", "2.state.tar.gz"]) {
      const backend = backendHere({ partBytes: 5 * MIB });
      const stage = await backend.stage(unit);
      if (unit.endsWith("/")) await stage.write("a", [new Uint8Array(6 * MIB)]);
      await put(`.claims/${unit.replace("/", "").replace(".tar.gz", "")}.json`, "of another");
      const body = [new Uint8Array(11 * MIB)];
      const publishing = stage.publish(unit.endsWith("/") ? "manifest.json" : "", body);
      await expect(publishing).rejects.toMatchObject({ code: "STAGE_LOST" });
      await stage.abandon();
      const units: string[] = [];
      for await (const listed of backend.list()) units.push(listed);
      expect(units).toEqual([]);
    }
  });

  it("puts a note that was read under a lock only where it is still the same", async () => {
    const { notes } = backendHere();
    const text = (note: string) => new TextEncoder().encode(note);
    await notes.put("x.state", text("first"));
    const unlock = await notes.lock?.("x.state");
    await notes.get("x.state");
    await put(".notes/x.state.json", "of another");
    await expect(notes.put("x.state", text("mine"))).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    await unlock?.();
    expect(new TextDecoder().decode(await notes.get("x.state"))).toBe("of another");
  });

  it("finds out what the store respects", async () => {
    // As Ceph 16.2 does. What a store does that respects more is not proven here.
    expect(await backendHere().probe()).toEqual({ create: true, replace: "unquoted", complete: false, remove: false });
  });

  it("is found by s3: URLs, with what the environment says", async () => {
    Object.assign(process.env, keys, { AWS_ENDPOINT_URL: here.endpoint });
    const values = { big: noise(1000), small: 3 };
    const saved = await storeOn(place.url, values).saveState();
    expect(saved.uri.startsWith("s3://snapkeep-tests/place%20")).toBe(true);
    const found = locate(saved.uri);
    expect(String(found)).toBe(String(saved));
    expect((await found.stat()).states).toBe(2);
    const copy = await saved.exportTo(`${place.url}/copies/`);
    expect((await locate(String(copy)).verify()).isWhole).toBe(true);
  });
});

describe("s3Backend options", () => {
  it.each([
    ["credentials in the URL", { url: "s3://AKIAKEY:secret@bucket/prefix" }],
    ["credentials in the endpoint", { url: "s3://bucket/p", endpoint: "https://AKIAKEY:secret@store.example" }],
    ["a query", { url: "s3://bucket/p?X-Amz-Signature=secret" }],
    ["another scheme", { url: "http://AKIAKEY:secret@bucket/p" }],
    ["no bucket", { url: "s3:///p" }],
    ["an empty segment", { url: "s3://bucket/a//b" }],
    ["a dot segment", { url: "s3://bucket/a/%2e%2e%2fb" }],
    ["a path", { url: "AKIAKEY secret" }],
    ["bad credentials", {
      url: "s3://bucket/p",
      credentials: { accessKeyId: "AKIAKEY", secretAccessKey: 5, secret: 1 },
    }],
    ["an unknown option", { url: "s3://bucket/p", endpiont: "https://store.example" }],
  ])("are refused with %s, and show no secret", (_, options) => {
    let error: unknown;
    try {
      s3Backend(options as unknown as S3Options);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(TypeError);
    expect(String(error)).not.toMatch(/AKIAKEY|:secret|=secret/);
  });

  it("are refused out of their ranges", () => {
    expect(() => s3Backend({ url: "s3://bucket/p", partBytes: 1024 })).toThrow(RangeError);
    expect(() => s3Backend({ url: "s3://bucket/p", idleMs: 0 })).toThrow(RangeError);
  });

  it("refuse credentials in URLs that are located", () => {
    expect(() => locate("s3://AKIAKEY:secret@bucket/x.state")).toThrow(/must not contain credentials/);
    expect(() => locate("s3://bucket")).toThrow(TypeError);
    expect(locate("s3://bucket/x.state").uri).toBe("s3://bucket/x.state");
  });

  it("warn of plain http to another machine, and not of loopback", async () => {
    const warnings = await collectWarnings();
    for (
      const endpoint of ["http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000", "https://a.example"]
    ) {
      s3Backend({ url: "s3://bucket/p", endpoint });
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(warnings).toEqual([]);
    s3Backend({ url: "s3://bucket/p", endpoint: "http://store.example" });
    await expect.poll(() => warnings.length).toBe(1);
    expect(warnings[0]).toContain("plain http");
  });
});
