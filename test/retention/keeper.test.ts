// RetentionKeeper on real stores: what it plans is what the rules say of what is there, and what it removes is what it planned.
import { runInNewContext } from "node:vm";
import {
  atLeast,
  type Backend,
  keepBest,
  keepDaily,
  keepEvery,
  keepLatest,
  keepTagged,
  keepUnder,
  keepWithin,
  type KeptSnapshot,
  type Labels,
  LatestStatesKeeper,
  memoryBackend,
  RetentionKeeper,
  type RetentionPlan,
  type SaveOptions,
  type SnapshotLocator,
  StateStore,
  type StateStoreOptions,
} from "snapkeep";
import { Faults, faultyBackend } from "snapkeep/testing";
import { describe, expect, it } from "vitest";
import { forge } from "../store/altered.ts";
import { collectLogs } from "../store/logs.ts";
import { changed, type Place, places, temporaryFolder } from "../store/places.ts";
import { Cell, rejection } from "../store/states.ts";
import { DAY_MS, HOUR_MS, ms, type Rules } from "./samples.ts";

const START_MS = ms("2026-11-01T00:00Z");
const names = (snapshots: readonly { readonly name: string }[]) => snapshots.map(({ name }) => name);

/** A store whose clock stands still until it is moved. */
async function world(make: () => Promise<Place>) {
  const place = await make();
  const clock = { nowMs: START_MS };
  const now = () => clock.nowMs;
  const store = place.store({ now }).register("cell", new Cell(1));
  /** Saves some snapshots, some time apart; the clock stands at the last one. */
  const saveMany = async (count: number, apartMs: number, options: Pick<SaveOptions, "labels" | "layout"> = {}) => {
    const saved: SnapshotLocator[] = [];
    for (let index = 0; index < count; index++) {
      if (saved.length > 0) clock.nowMs += apartMs;
      saved.push(await store.saveState(options));
    }
    return saved;
  };
  const keeper = (rules: Rules, options: StateStoreOptions = {}) =>
    new RetentionKeeper(store, rules, { now, ...options });
  return { place, clock, now, store, saveMany, keeper };
}

/** A backend on which the blobs of some units are garbage. */
function damaging(backend: Backend, isDamaged: (unit: string) => boolean): Backend {
  return changed(backend, {
    open: async (unit, path) => {
      const reader = await backend.open(unit, path);
      if (reader === undefined || !isDamaged(unit)) return reader;
      await reader.close();
      const bytes = new TextEncoder().encode("garbage");
      return {
        sizeBytes: bytes.length,
        read: (offset, lengthBytes) => Promise.resolve(bytes.slice(offset, offset + lengthBytes)),
        async *stream() {
          yield bytes.slice();
        },
        close: () => Promise.resolve(),
      };
    },
  });
}

function reasons(plan: RetentionPlan<KeptSnapshot>): Record<string, string> {
  return Object.fromEntries(plan.decisions.map(({ snapshot, reasons }) => [snapshot.name, reasons.join(", ")]));
}

describe.each(places)("RetentionKeeper ($layout, $backend)", ({ make }) => {
  it("plans with all reasons, as data and as a table, and cleanup carries out exactly the plan", async () => {
    const { place, clock, now } = await world(make);
    const losses = [5, 4, 1, NaN, 3, 2, 7, 8];
    const writer = place.store({ now }).register("cell", new Cell(1));
    for (const [index, loss] of losses.entries()) {
      const labels = { metrics: { loss }, step: index * 100, ...index === 1 ? { tags: ["paper"] } : {} };
      await writer.saveState({ labels });
      clock.nowMs += 12 * HOUR_MS;
    }
    const listed = await writer.list();
    await listed[3]?.pin();
    const store = place.store({ now }).register("cell", new Cell(1));
    await store.resume({ name: listed[4]?.name ?? "" });
    const rules = [keepLatest(2), keepDaily(2), keepBest("loss", "min", 1), keepTagged("paper")];
    const keeper = new RetentionKeeper(store, rules, { now });

    const plan = await keeper.plan();
    expect(String(plan)).toBe([
      "keep    2026-11-04_12-00-00,000000.state  newest, latest 1, day 2026-11-04",
      "keep    2026-11-04_00-00-00,000000.state  latest 2",
      "keep    2026-11-03_12-00-00,000000.state  day 2026-11-03",
      "keep    2026-11-03_00-00-00,000000.state  resumed from",
      "keep    2026-11-02_12-00-00,000000.state  pinned",
      "keep    2026-11-02_00-00-00,000000.state  best loss 1",
      "keep    2026-11-01_12-00-00,000000.state  tagged paper",
      "remove  2026-11-01_00-00-00,000000.state",
      "7 kept, 1 to be removed",
    ].join("\n"));
    expect(plan.decisions[1]).toMatchObject({
      isKept: true,
      reasons: ["tagged paper"],
      snapshot: {
        name: "2026-11-01_12-00-00,000000.state",
        savedAtMs: START_MS + 12 * HOUR_MS,
        sizeBytes: expect.any(Number),
        step: 100,
        metrics: { loss: 4 },
        tags: ["paper"],
        locator: { layout: place.layout },
      },
    });
    expect(names(await store.list())).toHaveLength(8);

    const removed = await keeper.cleanup();
    expect(removed.map(String)).toEqual(plan.removed.map(({ locator }) => String(locator)));
    expect(names(await store.list())).toEqual(names(plan.kept));
    expect((await keeper.plan()).removed).toEqual([]);
    expect(await keeper.cleanup()).toEqual([]);
  });

  it("removes oldest first, and goes on with the others when one cannot be removed", async () => {
    const { place, saveMany, now } = await world(make);
    const saved = await saveMany(5, HOUR_MS);
    const asked: string[] = [];
    const backend = changed(place.backend, {
      remove: (unit) => {
        asked.push(unit);
        return unit.startsWith(saved[1]?.name ?? "") ? Promise.reject(new Error("busy")) : place.backend.remove(unit);
      },
    });
    const keeper = new RetentionKeeper(backend, [keepLatest(1), keepTagged("none")], { now });
    expect(await rejection(keeper.cleanup())).toMatchObject({ code: "CLEANUP_FAILED" });
    expect(asked.map((unit) => unit.slice(0, saved[0]?.name.length))).toEqual(names(saved.slice(0, 4)));
    expect(names(await place.store().list())).toEqual(names([saved[1], saved[4]] as SnapshotLocator[]));
  });

  it("plans for another time when told so", async () => {
    const { saveMany, keeper, clock } = await world(make);
    const saved = await saveMany(3, DAY_MS);
    const now = runInNewContext(`new Date(${clock.nowMs - 1})`) as Date; // of another realm
    const plan = await keeper([() => []]).plan(now);
    expect(names(plan.kept)).toEqual(names(saved.slice(1)));
    expect(reasons(plan)[saved[1]?.name ?? ""]).toBe("newest not in the future");
  });

  it("refuses a time that is none", async () => {
    const { keeper } = await world(make);
    const mistaken = await rejection(keeper([keepLatest(1)]).plan(Date.now() as unknown as Date));
    expect(mistaken).toBeInstanceOf(TypeError);
    expect(String(mistaken)).toMatch(/now must be a Date/);
    expect(await rejection(keeper([keepLatest(1)]).plan(new Date(NaN)))).toBeInstanceOf(RangeError);
  });

  it("goes by its store's clock, unless it is given one", async () => {
    const { store, saveMany, clock } = await world(make);
    const saved = await saveMany(3, DAY_MS); // in the past of any clock but the store's
    clock.nowMs -= DAY_MS;
    const rules = [keepWithin("1h")];
    const byStore = await new RetentionKeeper(store, rules).plan();
    expect(reasons(byStore)).toEqual({
      [saved[0]?.name ?? ""]: "",
      [saved[1]?.name ?? ""]: "newest not in the future, within 1h",
      [saved[2]?.name ?? ""]: "newest, within 1h",
    });
    const late = new RetentionKeeper(store, rules, { now: () => clock.nowMs + DAY_MS });
    expect(names((await late.plan()).kept)).toEqual(names(saved.slice(2)));
    expect(names(await new LatestStatesKeeper(store, 1).cleanup())).toEqual(names(saved.slice(0, 1)));
    expect(names(await late.cleanup())).toEqual(names(saved.slice(1, 2)));
  });

  it("takes its days from its zone", async () => {
    const { saveMany, keeper } = await world(make);
    const saved = await saveMany(3, HOUR_MS); // 00:00, 01:00 and 02:00 in UTC; 20:00, 21:00 and 22:00 the day before in New York
    const rules = [keepDaily(1)];
    expect(reasons(await keeper(rules).plan())[saved[2]?.name ?? ""]).toBe("newest, day 2026-11-01");
    const zoned = keeper(rules, { zone: "America/New_York" } as StateStoreOptions);
    expect(reasons(await zoned.plan())[saved[2]?.name ?? ""]).toBe("newest, day 2026-10-31");
  });

  it("plans groups apart", async () => {
    const { store, clock, now } = await world(make);
    for (const tag of ["a", "b", "a", "a", "b"]) {
      await store.saveState({ labels: { tags: [tag] } });
      clock.nowMs += HOUR_MS;
    }
    const keeper = new RetentionKeeper(store, [keepLatest(1)], { now, groupBy: ({ tags = [] }) => tags[0] ?? "" });
    const removed = await keeper.cleanup();
    expect(removed.map(({ name }) => name.slice(11, 13))).toEqual(["00", "01", "02"]);
  });

  it("spares what its store resumed from until a newer one is committed", async () => {
    const { place, saveMany, now, clock } = await world(make);
    const saved = await saveMany(4, HOUR_MS);
    const store = place.store({ now }).register("cell", new Cell(0));
    await store.loadState(saved[0] as SnapshotLocator);
    const keeper = new RetentionKeeper(store, [keepLatest(1)], { now });
    expect(names(await keeper.cleanup())).toEqual(names(saved.slice(1, 3)));
    clock.nowMs += HOUR_MS;
    // A save that fails commits nothing.
    store.register("broken", { saveState: () => Promise.reject(new Error("mine")), loadState() {} });
    await rejection(store.saveState());
    expect(await keeper.cleanup()).toEqual([]);
    store.unregister("broken");
    await store.saveState();
    expect(names(await keeper.cleanup())).toEqual(names([saved[0], saved[3]] as SnapshotLocator[]));
  });

  it("spares what was pinned by the save, what was pinned later, and not what was unpinned", async () => {
    const { saveMany, keeper } = await world(make);
    const [bySave] = await saveMany(1, 0, { labels: { pinned: true } });
    const [later, unpinned, both] = await saveMany(3, HOUR_MS);
    await later?.pin();
    await unpinned?.pin();
    await unpinned?.unpin();
    await both?.pin();
    const last = await saveMany(2, HOUR_MS);
    await bySave?.label({ remark: "still pinned" });
    for (const rules of [[keepLatest(1)], [keepDaily(1)]]) {
      const plan = await keeper(rules).plan();
      expect(names(plan.removed)).toEqual(names([unpinned, last[0]] as SnapshotLocator[]));
      expect(reasons(plan)[bySave?.name ?? ""]).toBe("pinned");
    }
    await bySave?.unpin();
    expect(names(await keeper([keepLatest(1)]).cleanup())).toEqual(
      names([bySave, unpinned, last[0]] as SnapshotLocator[]),
    );
  });

  it("looks at labels as they are now, not as they were saved", async () => {
    const { saveMany, keeper } = await world(make);
    const saved = await saveMany(4, HOUR_MS, { labels: { tags: ["old"], metrics: { loss: 5 } } });
    await saved[1]?.label({ tags: ["new"], metrics: { loss: 1 } });
    await saved[0]?.label({ tags: undefined });
    const plan = await keeper([keepTagged("new"), keepBest("loss", "min", 1)]).plan();
    expect(reasons(plan)[saved[1]?.name ?? ""]).toBe("tagged new, best loss 1");
    expect(names((await keeper([keepTagged("old")]).plan()).removed)).toEqual(names(saved.slice(0, 2)));
  });

  it("keeps a snapshot whose note is damaged, and says why", async () => {
    const { place, saveMany, keeper } = await world(make);
    const saved = await saveMany(3, HOUR_MS);
    await place.backend.notes.put(saved[0]?.name ?? "", new TextEncoder().encode('{"half'));
    await place.backend.notes.put(
      saved[1]?.name ?? "",
      new TextEncoder().encode('{"format":"snapkeep-note","formatVersion":999,"labels":{}}'),
    );
    for (const rules of [[keepLatest(1)], [keepDaily(1)]]) {
      const told = reasons(await keeper(rules).plan());
      expect([told[saved[0]?.name ?? ""], told[saved[1]?.name ?? ""]]).toEqual([
        "its note cannot be read",
        "its note cannot be read",
      ]);
    }
    expect(await keeper([keepLatest(1)]).cleanup()).toEqual([]);
  });

  it("neither counts nor removes damaged ones, and warns", async () => {
    const logs = await collectLogs();
    const { place, saveMany, now } = await world(make);
    const saved = await saveMany(5, DAY_MS);
    const damaged = [saved[1]?.name ?? "", saved[4]?.name ?? ""];
    const backend = damaging(place.backend, (unit) => damaged.some((name) => unit.startsWith(name)));
    const keeper = new RetentionKeeper(backend, [keepDaily(2)], { now });
    const plan = await keeper.plan();
    expect(reasons(plan)).toEqual({
      [saved[0]?.name ?? ""]: "",
      [saved[2]?.name ?? ""]: "day 2026-11-03",
      [saved[3]?.name ?? ""]: "newest, day 2026-11-04",
    });
    expect(logs.of("warning")).toHaveLength(2);
    expect(logs.of("warning")[0]).toMatch(/^RetentionKeeper: '.*' is neither counted nor removed: /);
    expect(names(await keeper.cleanup())).toEqual(names(saved.slice(0, 1)));
    expect(names(await place.store().list())).toEqual(names(saved.slice(1)));
  });

  it("neither counts nor removes one of a newer format", async () => {
    const { place, saveMany, keeper } = await world(make);
    const older = "2026-10-01_00-00-00,000000.state";
    await forge(place.backend, place.layout, older, (manifest) => ({ ...manifest, formatVersion: 999 }));
    const saved = await saveMany(2, DAY_MS);
    const plan = await keeper([keepDaily(1)]).plan();
    expect(names(plan.decisions.map(({ snapshot }) => snapshot))).toEqual(names(saved));
    expect(names(await keeper([keepDaily(1)]).cleanup())).toEqual(names(saved.slice(0, 1)));
    expect(await keeper([keepLatest(1)]).cleanup()).toEqual([]);
    expect(names(await place.store().list())).toEqual([older, saved[1]?.name]);
  });

  describe("with rules that look at names only", () => {
    const damage = async (count: number, ...damaged: readonly number[]) => {
      const { place, saveMany, now } = await world(make);
      const saved = await saveMany(count, DAY_MS);
      const isDamaged = (unit: string) => damaged.some((index) => unit.startsWith(saved[index]?.name ?? "-"));
      return { place, now, saved, backend: damaging(place.backend, isDamaged) };
    };

    it("does not count damaged ones, so that the newest whole ones are kept", async () => {
      for (
        const [maxKeep, damaged, left] of [[1, [3], [2, 3]], [2, [3], [1, 2, 3]], [2, [1, 3], [0, 1, 2, 3]]] as const
      ) {
        const { place, saved, backend, now } = await damage(4, ...damaged);
        const keeper = new RetentionKeeper(backend, [keepLatest(maxKeep)], { now });
        const removed = await keeper.cleanup();
        expect(names(await place.store().list())).toEqual(left.map((index) => saved[index]?.name));
        expect(removed).toHaveLength(4 - left.length);
        expect(await keeper.cleanup()).toEqual([]);
      }
    });

    it("removes nothing where all that it would keep are damaged, down to the last", async () => {
      const { place, saved, backend, now } = await damage(4, 1, 2, 3);
      expect(await new RetentionKeeper(backend, [keepLatest(1)], { now }).cleanup()).toEqual([]);
      expect(await new LatestStatesKeeper(backend, 2, "*.state", { now }).cleanup()).toEqual([]);
      expect(names(await place.store().list())).toEqual(names(saved));
    });

    it("counts them in a plan, which opens none", async () => {
      const { saved, backend, now } = await damage(3, 2);
      const plan = await new RetentionKeeper(backend, [keepLatest(1)], { now }).plan();
      expect(names(plan.kept)).toEqual(names(saved.slice(2)));
    });

    it("counts none that was pinned when it was saved and came without its note", async () => {
      const { place, saveMany, keeper } = await world(make);
      const saved = await saveMany(4, HOUR_MS);
      await saved[3]?.pin();
      const [bySave, unpinned] = await saveMany(2, HOUR_MS, { labels: { pinned: true } });
      await unpinned?.unpin();
      await place.backend.notes.remove(bySave?.name ?? ""); // as `cp` of the snapshot alone would have it
      expect(names(await keeper([keepLatest(2)]).cleanup())).toEqual(names(saved.slice(0, 2)));
    });
  });

  it("spares a damaged one when it comes to removing it, whether it has a note or not", async () => {
    const { place, saveMany, now } = await world(make);
    const saved = await saveMany(4, DAY_MS);
    await saved[0]?.label({ remark: "noted" });
    const backend = damaging(place.backend, (unit) => saved.slice(0, 2).some(({ name }) => unit.startsWith(name)));
    const keeper = new RetentionKeeper(backend, [keepLatest(1)], { now });
    expect(names(await keeper.cleanup())).toEqual(names(saved.slice(2, 3)));
    expect(names(await place.store().list())).toEqual(names([saved[0], saved[1], saved[3]] as SnapshotLocator[]));
  });

  it("with rules that look at names only spares a damaged one when it comes to removing it", async () => {
    const { place, saveMany, now } = await world(make);
    const saved = await saveMany(3, DAY_MS);
    const backend = damaging(place.backend, (unit) => unit.startsWith(saved[0]?.name ?? ""));
    const keeper = new RetentionKeeper(backend, [keepLatest(1)], { now });
    expect(names(await keeper.cleanup())).toEqual(names(saved.slice(1, 2)));
  });

  it("leaves out what vanishes while it plans", async () => {
    const { place, saveMany, now } = await world(make);
    const saved = await saveMany(3, DAY_MS);
    const gone = saved[0] as SnapshotLocator;
    const store = new StateStore(changed(place.backend, {
      open: async (unit, path) => {
        if (unit.startsWith(gone.name)) await gone.remove();
        return await place.backend.open(unit, path);
      },
    }));
    const keeper = new RetentionKeeper(store, [keepDaily(1)], { now });
    expect(names((await keeper.plan()).decisions.map(({ snapshot }) => snapshot))).toEqual(names(saved.slice(1)));
  });

  it("removes nothing when the backend cannot be reached: the failure is thrown", async () => {
    const { place, saveMany, now } = await world(make);
    const saved = await saveMany(3, DAY_MS);
    for (const rule of [keepDaily(1), keepLatest(1)]) {
      for (const operation of ["list", "open", "notes.list"]) {
        const at = operation === "open" && rule.needsFacts ? 2 : 1; // keepLatest(1) opens but the one that it keeps
        const faults = new Faults({ at, forever: true, only: (call) => call.operation === operation });
        const keeper = new RetentionKeeper(faultyBackend(place.backend, faults), [rule], { now });
        expect(await rejection(keeper.cleanup())).toMatchObject({ code: "STORAGE_FAILED" });
        expect(faults.injected.length).toBeGreaterThan(0);
        expect(names(await place.store().list())).toEqual(names(saved));
      }
    }
  });

  it("counts and orders by name, and tells days by savedAt: a far-future name costs no snapshot", async () => {
    const { place, clock, now, saveMany, keeper } = await world(make);
    clock.nowMs = ms("2999-06-01T00:00Z");
    const wrong = await saveMany(1, 0);
    clock.nowMs = START_MS;
    const saved = await saveMany(4, DAY_MS);
    expect(saved.every(({ name }) => name.startsWith("2999-06-01_00-00-00,00000"))).toBe(true);
    expect((await keeper([keepDaily(5)]).plan()).removed).toEqual([]);
    const told = reasons(await keeper([keepDaily(3)]).plan());
    expect(Object.values(told)).toEqual([
      "day 2999-06-01",
      "",
      "",
      "day 2026-11-03",
      "newest, day 2026-11-04",
    ]);
    // The name that was wrong is the oldest in order.
    expect(names(await new RetentionKeeper(place.store(), [keepLatest(4)], { now }).cleanup())).toEqual(names(wrong));
  });

  it("keeps one and not two where two were saved in one instant: a stamp of now is not in the future", async () => {
    const { saveMany, keeper } = await world(make);
    const saved = await saveMany(3, 0);
    expect(names((await keeper([keepLatest(1)]).plan()).kept)).toEqual(names(saved.slice(2)));
    expect(names((await keeper([keepDaily(1)]).plan()).kept)).toEqual(names(saved.slice(2)));
  });

  it("knows sizes, so that a budget holds", async () => {
    const { saveMany, keeper } = await world(make);
    await saveMany(4, HOUR_MS);
    const sizes = (await keeper([keepUnder(0)]).plan()).decisions.map(({ snapshot }) => snapshot.sizeBytes ?? 0);
    expect(sizes.every((sizeBytes) => sizeBytes > 0)).toBe(true);
    const [a = 0, b = 0, c = 0, d = 0] = sizes;
    expect((await keeper([keepUnder(b + c + d)]).plan()).removed).toHaveLength(1);
    expect((await keeper([keepUnder(a + b + c + d)]).plan()).removed).toHaveLength(0);
    expect((await keeper([keepUnder(0)]).plan()).removed).toHaveLength(3);
    expect((await keeper([atLeast(2, keepUnder(0))]).plan()).removed).toHaveLength(2);
  });

  it("keeps and removes a keepsake it was given like any other, and none it was not given", async () => {
    const { place, saveMany, keeper } = await world(make);
    const saved = await saveMany(2, HOUR_MS);
    const keepsake = await place.store({ stateNameFormat: "0-%Y-%m-%d.state" }).saveState();
    const given = keeper([keepLatest(1), keepEvery("10000d")]);
    expect(names((await given.plan()).decisions.map(({ snapshot }) => snapshot))).toEqual(names(saved));
    given.append(keepsake);
    expect(names((await given.plan()).decisions.map(({ snapshot }) => snapshot))).toEqual(names([keepsake, ...saved]));
  });

  it("plans anew each time: what others save or remove meanwhile is seen", async () => {
    const { place, saveMany, keeper, clock, now } = await world(make);
    const saved = await saveMany(3, DAY_MS);
    const same = keeper([keepDaily(2)]);
    expect(names((await same.plan()).removed)).toEqual(names(saved.slice(0, 1)));
    clock.nowMs += DAY_MS;
    await place.store({ now }).saveState();
    expect(names((await same.plan()).removed)).toEqual(names(saved.slice(0, 2)));
    await saved[2]?.remove();
    expect(names((await same.plan()).removed)).toEqual(names(saved.slice(0, 1)));
  });

  it("of nothing plans nothing", async () => {
    const { keeper } = await world(make);
    expect((await keeper([keepLatest(1), keepDaily(1)]).plan()).decisions).toEqual([]);
    expect(await keeper([keepLatest(1)]).cleanup()).toEqual([]);
  });

  it("refuses rules and zones that are wrong before it looks at anything", async () => {
    const { backend } = await make();
    const faults = new Faults();
    const watched = faultyBackend(backend, faults);
    expect(() => new RetentionKeeper(watched, [])).toThrow(TypeError);
    expect(() => new RetentionKeeper(watched, [keepLatest(0)])).toThrow(TypeError);
    expect(() => new RetentionKeeper(watched, [5 as unknown as () => []])).toThrow(TypeError);
    expect(() => new RetentionKeeper(watched, [keepLatest(1)], { zone: "Nowhere" })).toThrow(RangeError);
    expect(faults.calls).toEqual([]);
  });
});

describe.each(places)("LatestStatesKeeper as a rule of the same machine ($layout, $backend)", ({ make }) => {
  it("with a maximum of 0 keeps none but what is pinned and what was resumed from", async () => {
    const { place, saveMany, now } = await world(make);
    const saved = await saveMany(4, HOUR_MS);
    await saved[1]?.pin();
    const store = place.store({ now }).register("cell", new Cell(0));
    await store.loadState(saved[2] as SnapshotLocator);
    const keeper = new LatestStatesKeeper(store, 0, "*.state", { now });
    expect(reasons(await keeper.plan())).toEqual({
      [saved[0]?.name ?? ""]: "",
      [saved[1]?.name ?? ""]: "pinned",
      [saved[2]?.name ?? ""]: "resumed from",
      [saved[3]?.name ?? ""]: "",
    });
    expect(names(await keeper.cleanup())).toEqual(names([saved[0], saved[3]] as SnapshotLocator[]));
    expect(names(await new LatestStatesKeeper(place.store(), 0).cleanup())).toEqual(names(saved.slice(2, 3)));
    expect(names(await place.store().list())).toEqual(names(saved.slice(1, 2)));
  });

  it("plans with reasons, and a pinned one takes none of its places", async () => {
    const { saveMany, store, now } = await world(make);
    const saved = await saveMany(4, HOUR_MS);
    await saved[2]?.pin();
    const keeper = new LatestStatesKeeper(store, 2, "*.state", { now });
    expect(Object.values(reasons(await keeper.plan()))).toEqual(["", "latest 2", "pinned", "newest, latest 1"]);
    expect(names(await keeper.cleanup())).toEqual(names(saved.slice(0, 1)));
  });
});

describe.each(places)("What retention opens ($layout, $backend)", ({ make }) => {
  const opened = (faults: Faults) =>
    faults.calls.filter(({ operation }) => operation === "open" || operation === "read");

  it("is no snapshot for a plan of keepLatest, pins included; for a cleanup what it removes, and once what it keeps", async () => {
    const { place, saveMany, now, clock } = await world(make);
    const saved = await saveMany(6, HOUR_MS);
    await saved[1]?.pin();
    const faults = new Faults();
    const backend = faultyBackend(place.backend, faults);
    const keeper = new RetentionKeeper(backend, [keepLatest(2), atLeast(2, keepLatest(1))], { now });
    expect(names((await keeper.plan()).removed)).toEqual(names([saved[0], saved[2], saved[3]] as SnapshotLocator[]));
    expect(opened(faults)).toEqual([]);
    const openedNames = (since = 0) =>
      [...new Set(opened(faults).slice(since).map(({ path }) => path.slice(0, saved[0]?.name.length)))].sort();
    await keeper.cleanup();
    expect(openedNames()).toEqual(names(saved));
    const before = opened(faults).length;
    expect(await keeper.cleanup()).toEqual([]);
    expect(openedNames(before)).toEqual([]);
    clock.nowMs += HOUR_MS;
    const [added] = await saveMany(1, 0);
    expect(names(await keeper.cleanup())).toEqual(names(saved.slice(4, 5)));
    expect(openedNames(before)).toEqual(names([saved[4], added] as SnapshotLocator[]));
  });

  it("is each manifest once, however often it plans", async () => {
    const { place, saveMany, now, clock } = await world(make);
    await saveMany(5, DAY_MS);
    const faults = new Faults();
    const keeper = new RetentionKeeper(faultyBackend(place.backend, faults), [keepDaily(5)], { now });
    const first = await keeper.plan();
    const before = opened(faults).length;
    expect(before).toBeGreaterThanOrEqual(5);
    expect(await keeper.plan()).toEqual(first);
    expect(opened(faults)).toHaveLength(before);
    clock.nowMs += DAY_MS;
    const [added] = await saveMany(1, 0);
    expect((await keeper.plan()).decisions).toHaveLength(6);
    const later = opened(faults).slice(before);
    expect(later.length).toBeGreaterThan(0);
    expect(later.every(({ path }) => path.startsWith(added?.name ?? "-"))).toBe(true);
  });
});

describe.each(places)("Copies and retention ($layout, $backend)", ({ make }) => {
  it.each<[string, Rules, number]>([
    ["which its labels keep now", [keepLatest(1), keepTagged("good")], 1],
    ["which is the best no more", [keepLatest(1), keepBest("loss", "min", 1)], 0],
  ])("one imported in the place of one that was looked at, %s, goes by its own labels", async (_, rules, removed) => {
    const { saveMany, now, store } = await world(make);
    const [first, second] = await saveMany(3, HOUR_MS) as [SnapshotLocator, SnapshotLocator];
    await first.label({ metrics: { loss: 1 }, tags: ["poor"] });
    await second.label({ metrics: { loss: 3 } });
    /** The same snapshot with labels of its own, and without a note. */
    const replace = async (labels: Labels) => {
      await first.label(labels);
      const elsewhere = new StateStore(memoryBackend(), { now });
      const copy = await elsewhere.importSnapshot(first);
      await first.remove();
      return await store.importSnapshot(copy);
    };
    await replace({ tags: ["poor"] });
    const keeper = new RetentionKeeper(store, rules, { now });
    await keeper.plan();
    const replaced = await replace({ metrics: { loss: 5 }, tags: ["good"] });
    expect(names(await keeper.cleanup())).toEqual(names([[replaced, second][removed] as SnapshotLocator]));
  });

  it("one that is pinned while the others are removed stays", async () => {
    const { store, saveMany, now } = await world(make);
    const saved = await saveMany(4, HOUR_MS);
    const target = saved[2] as SnapshotLocator;
    class Pinning extends RetentionKeeper {
      protected override async selectRemovalStates(): Promise<readonly SnapshotLocator[]> {
        const selected = await super.selectRemovalStates();
        for (const locator of selected.filter(({ name }) => name === target.name)) {
          const manifest = locator.manifest.bind(locator);
          // The cleanup looks at it for its pin, and then it is pinned.
          locator.manifest = async () => {
            const found = await manifest();
            await target.pin();
            return found;
          };
        }
        return selected;
      }
    }
    expect(names(await new Pinning(store, [keepLatest(1)], { now }).cleanup())).toEqual(names(saved.slice(0, 2)));
    expect(await target.labels()).toEqual({ pinned: true });
  });

  it("an imported snapshot that is pinned takes no place of keepLatest", async () => {
    const { place, saveMany, now, clock } = await world(make);
    const saved = await saveMany(2, HOUR_MS);
    clock.nowMs += HOUR_MS;
    const origin = new StateStore(memoryBackend(), { now });
    const pinned = await place.store().importSnapshot(await origin.saveState({ labels: { pinned: true } }));
    expect(await pinned.labels()).toEqual({ pinned: true });
    const plan = await new RetentionKeeper(place.store(), [keepLatest(1)], { now }).plan();
    expect(names(plan.kept)).toEqual(names([saved[1], pinned] as SnapshotLocator[]));
  });
});

it("RetentionKeeper made from a path plans by the clock and the name format that it is given", async () => {
  const folder = await temporaryFolder();
  const options = { stateNameFormat: "run_%Y-%m-%d_%H-%M-%S,%f" };
  const clock = { nowMs: START_MS };
  const store = new StateStore(folder, { ...options, now: () => clock.nowMs }).register("cell", new Cell(1));
  const saved: SnapshotLocator[] = [];
  for (; saved.length < 3; clock.nowMs += DAY_MS) saved.push(await store.saveState());
  const keeper = new RetentionKeeper(folder, [keepWithin("36h")], { ...options, now: () => clock.nowMs - DAY_MS });
  expect(names((await keeper.plan()).kept)).toEqual(names(saved.slice(1)));
  expect(names(await keeper.cleanup())).toEqual(names(saved.slice(0, 1)));
});
