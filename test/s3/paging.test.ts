// Places of many snapshots are known by paged listings alone.
import { keepLatest, memoryBackend, RetentionKeeper, StateStore } from "snapkeep";
import { s3Backend } from "snapkeep/s3";
import { expect, it } from "vitest";
import { readBytes } from "../../src/runtime/reading.ts";
import { groupsOn } from "../../src/s3/leftovers.ts";
import { type CannedStore, cannedStore } from "./canned_store.ts";
import { unitsOf } from "./world.ts";

const credentials = { accessKeyId: "key", secretAccessKey: "secret" };

/** A store of one number on any backend. */
function counterOn(on: ConstructorParameters<typeof StateStore>[0], counter: { value: number }) {
  return new StateStore(on).register("counter", {
    saveState: (out) => out.json("value", counter.value),
    loadState: async (from) => void (counter.value = await from.json("value") as number),
  });
}

/** The objects of one real snapshot, below a prefix. */
async function oneSnapshot(prefix: string): Promise<Map<string, Uint8Array>> {
  const memory = memoryBackend();
  await counterOn(memory, { value: 7 }).saveState();
  const objects = new Map<string, Uint8Array>();
  for await (const unit of memory.list()) {
    for await (const { path, sizeBytes } of memory.blobs(unit)) {
      const blob = await memory.open(unit, path);
      objects.set(
        `${prefix}${unit}${path}`,
        blob === undefined ? new Uint8Array() : await readBytes(blob, 0, sizeBytes),
      );
    }
  }
  return objects;
}

async function within<T>(objects: ReadonlyMap<string, Uint8Array>, work: (store: CannedStore) => Promise<T>) {
  const store = await cannedStore(objects);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

it("resume and keepLatest list 10,000 snapshots by pages, and open none but the newest", async () => {
  const objects = await oneSnapshot("p/");
  for (let count = 0; count < 9999; count++) {
    const [date, time] = new Date(Date.UTC(2020, 0, 1) + count * 60_000).toISOString().split(/[T.]/) as [
      string,
      string,
    ];
    objects.set(`p/${date}_${time.replaceAll(":", "-")},000000.state.tar.gz`, new Uint8Array(10)); // opening it fails
  }
  await within(objects, async ({ endpoint, take }) => {
    const counter = { value: 0 };
    const store = counterOn(s3Backend({ url: "s3://bucket/p", endpoint, credentials }), counter);
    const resumed = await store.resume();
    expect([resumed.outcome, counter.value]).toEqual(["resumed", 7]);
    const pages = (requests: string[]) => requests.filter((request) => request.includes("list-type=2"));
    const [atResume, opened] = [take(), 3]; // the manifest, its note, the entry
    expect(pages(atResume).length).toBeLessThanOrEqual(2 * 11);
    expect(atResume.length - pages(atResume).length).toBeLessThanOrEqual(opened);
    const plan = await new RetentionKeeper(store, [keepLatest(5)]).plan();
    expect(plan.removed).toHaveLength(9995);
    const atPlan = take();
    expect(pages(atPlan)).toEqual(atPlan);
    expect(atPlan.length).toBeLessThanOrEqual(12); // one of them lists the notes
  });
});

it("s3Backend passes over the blobs of large groups when it lists", async () => {
  const objects = new Map<string, Uint8Array>();
  const put = (key: string) => objects.set(`p/${key}`, new Uint8Array(1));
  for (let count = 0; count < 5000; count++) {
    put(`1.state/a/${count}`); // before the manifest, and behind it
    put(`1.state/s/${count}`);
  }
  const small = Array.from({ length: 100 }, (_, index) => `2-${String(index).padStart(3, "0")}.state/`);
  for (const unit of ["1.state/", ...small]) put(`${unit}manifest.json`);
  for (const unit of small) put(`${unit}a/b`);
  await within(objects, async ({ endpoint, take }) => {
    const backend = s3Backend({ url: "s3://bucket/p", endpoint, credentials });
    expect(await unitsOf(backend)).toEqual(["1.state/", ...small]);
    const requests = take();
    expect(requests.every((request) => request.includes("list-type=2"))).toBe(true);
    expect(requests.length).toBeLessThanOrEqual(4);
    const after: string[] = [];
    for await (const unit of backend.list({ after: "2-098.state/" })) after.push(unit);
    expect(after).toEqual(["2-099.state/"]);
  });
});

it("groupsOn lists each group once, page by page", async () => {
  const groups = Array.from({ length: 2500 }, (_, index) => `group-${index + 1000}`);
  const objects = new Map(
    [...groups, ".hidden"].flatMap((group) =>
      ["a", "b"].map((name): [string, Uint8Array] => [`p/${group}/${name}`, new Uint8Array(1)])
    ),
  );
  objects.set("p/file", new Uint8Array(1));
  await within(objects, async ({ endpoint, take }) => {
    expect(await groupsOn({ url: "s3://bucket/p", endpoint, credentials })).toEqual(groups);
    expect(take()).toHaveLength(3);
  });
});
