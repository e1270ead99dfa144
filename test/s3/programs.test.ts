// Programs on an object store: stores, keepers, labels, copies and addresses work as on files.
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import {
  autosave,
  keepLatest,
  LatestStatesKeeper,
  locate,
  PeriodicSaveCondition,
  RetentionKeeper,
  StateStore,
} from "snapkeep";
import { afterEach, describe, expect, it } from "vitest";
import { copyAll, MirroredStatesKeeper } from "../../examples/local_first/mirrored_keeper.ts";
import { credentials } from "../../tools/object_store.mjs";
import { root } from "../../tools/run.mjs";
import { temporaryFolder } from "../backend/temporary.ts";
import { endpoint, hasObjectStore } from "./object_store.ts";
import { MIB, noise, world } from "./world.ts";

const here = world();
const keys = { AWS_ACCESS_KEY_ID: credentials.accessKeyId, AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey };
const ENDPOINTS = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"] as const;

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

describe.skipIf(!hasObjectStore)("a store on s3Backend", () => {
  afterEach(() => {
    for (const name of [...ENDPOINTS, "AWS_CONFIG_FILE", ...Object.keys(keys)]) delete process.env[name];
  });

  it.each(["directory", "tar.gz"] as const)("saves, resumes, labels and removes snapshots as %s", async (layout) => {
    const values = { big: noise(300_000), small: 1 };
    const store = storeOn(here.backend(), values);
    const saved = await store.saveState({ layout, labels: { step: 1, pinned: true } });
    await saved.label({ tags: ["good"] });
    expect(await saved.labels()).toMatchObject({ step: 1, pinned: true, tags: ["good"] });
    const { big } = values;
    Object.assign(values, { big: new Uint8Array(), small: 0 });
    const { outcome } = await storeOn(here.backend(), values).resume();
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
    const remote = new StateStore(here.backend());
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
    const saved = await storeOn(here.backend(), values).saveState();
    here.proxy.take();
    const reader = await saved.open();
    expect(await reader.json("small/small.json")).toBe(7);
    await reader.close();
    const ranges = here.proxy.take().map(({ headers }) => /^bytes=(\d*)-(\d+)$/.exec(String(headers["range"])));
    expect(ranges.length).toBeLessThanOrEqual(3); // the end, the first header, and perhaps the member
    const bytes = ranges.map((range) => Number(range?.[2]) - Number(range?.[1] ?? 0));
    expect(bytes.every((each) => each <= MIB)).toBe(true);
  });

  it("costs as many requests as the guide says", async () => {
    const guide = await readFile(path.join(root, "docs/guide/object_store.md"), "utf8");
    const values = { big: noise(1000), small: 7 };
    const backend = here.backend();
    const count = async (work: () => Promise<unknown>) => {
      here.proxy.take();
      await work();
      return here.proxy.take().length;
    };
    const [probe, sweep] = [await count(() => backend.probe()), await count(() => backend.sweep(60_000))];
    expect(guide).toContain(`The first save adds ${probe} requests for the probe and at least ${sweep} for the sweep.`);
    const store = storeOn(backend, values);
    await store.saveState();
    const directory = await count(() => store.saveState({ layout: "directory" })) - Object.keys(values).length;
    const archive = await count(() => store.saveState());
    const removal = await count(() => new LatestStatesKeeper(store, 2).cleanup());
    expect(guide).toContain(`| save a directory of *n* entries | ${directory} + *n* |`);
    expect(guide).toContain(`| save an archive of up to \`partBytes\` | ${archive} |`);
    expect(guide).toContain(`| remove one of three directories by \`LatestStatesKeeper\` | ${removal} |`);
  });

  it("reads one entry of an archive by as many requests as the guide says", async () => {
    const guide = await readFile(path.join(root, "docs/guide/object_store.md"), "utf8");
    const [, least, most] = /\| read one entry of an archive by `open\(\)` \| (\d) to (\d), by ranges \|/.exec(guide) ??
      [];
    const counts: number[] = [];
    for (const entries of [1, 20_000]) { // the table of many lies in several requests
      const store = new StateStore(here.backend(), { layout: "tar.gz", startFresh: true }).register("many", {
        saveState: async (out) => {
          for (let index = 0; index < entries; index++) await out.write(`${index}`, noise(100));
        },
        loadState: () => {},
      });
      const saved = await store.saveState();
      here.proxy.take();
      const reader = await saved.open();
      await reader.bytes("many/0");
      await reader.close();
      counts.push(here.proxy.take().length);
    }
    expect([Math.min(...counts), Math.max(...counts)]).toEqual([Number(least), Number(most)]);
  });

  it("keeps the newest by listing, and opens none but what it keeps", async () => {
    const values = { big: noise(10), small: 0 };
    const store = storeOn(here.backend(), values);
    for (; values.small < 6; values.small++) await store.saveState();
    const keeper = new RetentionKeeper(store, [keepLatest(2)]);
    here.proxy.take();
    await keeper.plan();
    const planned = here.proxy.take();
    expect(planned.every(({ method, target }) => method === "GET" && target.includes("list-type"))).toBe(true);
    expect(await new LatestStatesKeeper(store, 2).cleanup()).toHaveLength(4);
    expect(await store.list()).toHaveLength(2);
  });

  it("saves by itself, keeps what is pinned, and prunes the rest", async () => {
    const values = { big: noise(1000), small: 0 };
    const store = storeOn(here.backend(), values);
    const keeper = new RetentionKeeper(store, [keepLatest(2)]);
    store.startFresh();
    const saver = autosave(store, { condition: new PeriodicSaveCondition("1h"), keeper });
    for (; values.small < 5; values.small++) {
      expect(await saver.requestSave()).toMatchObject({ outcome: "saved" });
      if (values.small === 1) await (await store.latest())?.label({ pinned: true });
    }
    values.small = 5;
    await saver.close();
    const kept: unknown[] = [];
    for (const snapshot of await store.list()) {
      await using reader = await snapshot.open();
      kept.push(await reader.json("small/small.json"));
    }
    expect(kept).toEqual([1, 4, 5]); // the last round saves once more
  });

  it("is the mirror of a folder, whose keeper spares what is not verified here", async () => {
    const local = storeOn(path.join(await temporaryFolder(), "states"), { big: noise(1000), small: 1 });
    const remote = new StateStore(here.backend());
    for (let count = 0; count < 3; count++) await local.saveState();
    const keeper = new MirroredStatesKeeper(local, remote, 1);
    expect(await keeper.cleanup()).toEqual([]);
    expect(await copyAll(local, remote)).toHaveLength(3);
    expect(await keeper.cleanup()).toHaveLength(2);
    expect([(await local.list()).length, (await remote.list()).length]).toEqual([1, 3]);
  });

  it("is found by s3: URLs, with what the environment says", async () => {
    Object.assign(process.env, keys, { AWS_ENDPOINT_URL: endpoint });
    const values = { big: noise(1000), small: 3 };
    const saved = await storeOn(here.place.url, values).saveState();
    expect(saved.uri.startsWith("s3://snapkeep-tests/place%20")).toBe(true);
    const found = locate(saved.uri);
    expect(String(found)).toBe(String(saved));
    expect((await found.stat()).states).toBe(2);
    const copy = await saved.exportTo(`${here.place.url}/copies/`);
    expect((await locate(String(copy)).verify()).isWhole).toBe(true);
  });

  // By its name, for which the client would put the bucket into the name of the host.
  const byName = () => here.proxy.endpoint.replace("127.0.0.1", "localhost");

  it.each([
    ["endpoint_url of the profile", () => `[default]\nregion = garage\nendpoint_url = ${byName()}\n`],
    [
      "endpoint_url of the service",
      () => `[default]\nregion = garage\nservices = own\n[services own]\ns3 =\n  endpoint_url = ${byName()}\n`,
    ],
  ])("is reached by %s, in its region and with the bucket in the path", async (_, configuration) => {
    const file = path.join(await temporaryFolder(), "config");
    await writeFile(file, configuration());
    Object.assign(process.env, keys, { AWS_CONFIG_FILE: file });
    await storeOn(here.place.url, { big: noise(10), small: 3 }).saveState();
    const seen = here.proxy.take();
    expect(seen.length).toBeGreaterThan(0);
    expect(seen.every(({ headers }) => String(headers["authorization"]).includes("/garage/s3/"))).toBe(true);
  });

  it("is reached by AWS_ENDPOINT_URL_S3 rather than AWS_ENDPOINT_URL, in the region of the AWS configuration", async () => {
    const file = path.join(await temporaryFolder(), "config");
    await writeFile(file, "[default]\nregion = garage\nendpoint_url = http://127.0.0.1:1\n");
    Object.assign(process.env, keys, {
      AWS_CONFIG_FILE: file,
      AWS_ENDPOINT_URL: "http://127.0.0.1:1",
      AWS_ENDPOINT_URL_S3: byName(),
    });
    expect(await new StateStore(here.place.url).list()).toEqual([]);
    expect(here.proxy.take().map(({ headers }) => headers["authorization"])).toEqual([
      expect.stringContaining("/garage/s3/"),
    ]);
  });
});
