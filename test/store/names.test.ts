// Names never repeat and always grow, whatever the clock does and however many stores there are.
import { readdir, rename } from "node:fs/promises";
import path from "node:path";
import { fileBackend, memoryBackend, StateStore } from "snapkeep";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { collectLogs } from "./logs.ts";
import { changed, filePlaces, places } from "./places.ts";
import { Cell, rejection, saving } from "./states.ts";

const AT = Date.parse("2026-11-23T07:04:34.123Z");
const name = (time: string) => `${time}.state`;

describe.each(places)("names of snapshots ($layout, $backend)", ({ make, layout }) => {
  it("are the time of the save to the microsecond, as the clock tells it", async () => {
    const store = (await make()).store({ now: () => AT + 0.5 });
    expect((await store.saveState()).name).toBe(name("2026-11-23_07-04-34,123500"));
  });

  it("are the time of the call, not of the end of the save", async () => {
    let nowMs = AT;
    const store = (await make()).store({ now: () => nowMs }).register(
      "a",
      saving(async (out) => {
        await out.write("x", "1");
        nowMs += 5000;
      }),
    );
    const snapshot = await store.saveState();
    expect(snapshot.name).toBe(name("2026-11-23_07-04-34,123000"));
    expect((await snapshot.stat()).savedAt.getTime()).toBe(AT);
  });

  it("follow each other by a microsecond when times are equal", async () => {
    const store = (await make()).store({ now: () => AT });
    const names = [];
    for (let index = 0; index < 3; index++) names.push((await store.saveState()).name);
    expect(names).toEqual(["123000", "123001", "123002"].map((micros) => name(`2026-11-23_07-04-34,${micros}`)));
  });

  it("go on from the newest when the clock is set back, while savedAt tells the clock's time", async () => {
    let nowMs = AT;
    const store = (await make()).store({ now: () => nowMs });
    await store.saveState();
    nowMs = Date.parse("2001-02-03T04:05:06Z");
    const behind = await store.saveState();
    expect(behind.name).toBe(name("2026-11-23_07-04-34,123001"));
    expect((await behind.stat()).savedAt.getTime()).toBe(nowMs);
    nowMs = AT + 1000;
    expect((await store.saveState()).name).toBe(name("2026-11-23_07-04-35,123000"));
  });

  it("grow over whatever the clocks of two stores at one place say", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.boolean(), fc.nat(3)), { minLength: 1, maxLength: 8 }), async (saves) => {
        const place = await make();
        const clocks = [AT, AT];
        const stores = [0, 1].map((which) => place.store({ now: () => clocks[which] ?? 0 }));
        const names: string[] = [];
        for (const [isFirst, ms] of saves) {
          const which = isFirst ? 0 : 1;
          clocks[which] = AT + ms;
          names.push((await stores[which]?.saveState())?.name ?? "");
        }
        expect(names).toEqual([...new Set(names)].sort());
        expect((await place.store().list()).map((locator) => locator.name)).toEqual(names);
        await place.cleanup();
      }),
      { numRuns: 15 },
    );
  });

  it("are different for stores at one place that save at once, at the same time of the clock", async () => {
    const place = await make();
    const stores = Array.from(
      { length: 5 },
      (_, index) => place.store({ now: () => AT }).register("a", new Cell(index)),
    );
    const saved = await Promise.all(stores.map((store) => store.saveState()));
    expect(new Set(saved.map((snapshot) => snapshot.name)).size).toBe(5);
    for (const snapshot of saved) expect((await snapshot.verify()).isWhole).toBe(true);
    expect(await place.store().list()).toHaveLength(5);
  });

  it("do not return after their snapshot was removed", async () => {
    const store = (await make()).store({ now: () => AT });
    const first = await store.saveState();
    await first.remove();
    expect((await store.saveState()).name > first.name).toBe(true);
  });

  it("go on from a snapshot of the far future, with one warning in the log", async () => {
    const logs = await collectLogs();
    const place = await make();
    await place.store({ now: () => Date.parse("2099-12-31T23:59:59.999Z") + 0.999 }).saveState();
    const store = place.store({ now: () => AT });
    const names = [(await store.saveState()).name, (await store.saveState()).name];
    expect(names).toEqual([name("2100-01-01_00-00-00,000000"), name("2100-01-01_00-00-00,000001")]);
    const warnings = logs.of("warning").filter((text) => text.includes("clock"));
    expect(warnings).toEqual([expect.stringContaining("2099-12-31_23-59-59,999999.state")]);
    expect(warnings[0]).toMatch(/^StateStore: /);
  });

  it("warn of no clock that is behind by less than a minute, as two machines may be", async () => {
    const logs = await collectLogs();
    const place = await make();
    await place.store({ now: () => AT + 59_000 }).saveState();
    await place.store({ now: () => AT }).saveState();
    expect(logs.of("warning").filter((text) => text.includes("clock"))).toEqual([]);
  });

  it("end with the year 9999: a save past it fails, and nothing is left", async () => {
    const place = await make();
    const stateNameFormat = "%Y-%m-%d_%H-%M-%S.state";
    await place.store({ stateNameFormat, now: () => Date.parse("9999-12-31T23:59:59Z") }).saveState();
    const before = await place.files();
    const store = place.store({ stateNameFormat, now: () => AT }).register("a", new Cell(1));
    const latest = "9999-12-31_23-59-59.state";
    for (let attempt = 0; attempt < 2; attempt++) {
      expect(await rejection(store.saveState())).toMatchObject({
        code: "NAMES_EXHAUSTED",
        message: expect.stringMatching(/nothing can follow "9999-12-31_23-59-59\.state": .*rename it.*or remove it/),
        details: { latest },
      });
    }
    expect(await place.files()).toEqual(before);
    const [last, ...others] = await store.list();
    expect([last?.name, others]).toEqual([latest, []]);
    await last?.remove();
    expect((await store.saveState()).name).toBe("2026-11-23_07-04-34.state"); // the same store goes on
  });

  it("end with the year 9999: a snapshot that nothing could follow is not imported", async () => {
    const stateNameFormat = "%Y-%m-%d_%H-%M-%S.state";
    const saved = (now: string) => new StateStore(memoryBackend(), { stateNameFormat, now: () => Date.parse(now) });
    const place = await make();
    const store = place.store({ stateNameFormat });
    const before = await place.files();
    const last = await saved("9999-12-31T23:59:59Z").saveState();
    expect(await rejection(store.importSnapshot(last))).toMatchObject({ code: "NAMES_EXHAUSTED" });
    expect(await place.files()).toEqual(before);
    const lastButOne = await saved("9999-12-31T23:59:58Z").saveState();
    expect((await store.importSnapshot(lastButOne)).name).toBe("9999-12-31_23-59-58.state");
    const others = place.store(); // of another format it is a keepsake, which leads no names on
    expect((await others.importSnapshot(last)).name).toBe("9999-12-31_23-59-59.state");
  });

  it("of years the clock cannot mean are a RangeError: the clock is the caller's", async () => {
    const store = (await make()).store({ now: () => Date.UTC(10_000, 0, 1) });
    expect(await rejection(store.saveState())).toBeInstanceOf(RangeError);
    expect(await store.list()).toEqual([]);
  });

  it("are not led on by keepsakes and names of other formats", async () => {
    const place = await make();
    await place.store({ stateNameFormat: "z%Y-%m-%d" }).saveState();
    await place.store({ stateNameFormat: "9%Y-%m-%d.state" }).saveState();
    expect((await place.store({ now: () => AT }).saveState()).name).toBe(name("2026-11-23_07-04-34,123000"));
  });

  it("step in the format's own finest field", async () => {
    const store = (await make()).store({ stateNameFormat: "run-%Y-%j", now: () => Date.parse("2026-12-31T12:00:00Z") });
    const names = [];
    for (let index = 0; index < 3; index++) names.push((await store.saveState()).name);
    expect(names).toEqual(["run-2026-365", "run-2027-001", "run-2027-002"]);
  });

  it("step over a name that another writer claims meanwhile", async () => {
    const place = await make();
    const stage = await place.backend.stage(`${name("2026-11-23_07-04-34,123000")}.tar.gz`);
    const snapshot = await place.store({ now: () => AT }).saveState();
    expect(snapshot.name).toBe(name("2026-11-23_07-04-34,123001"));
    await stage.abandon();
  });

  it("are never given twice by the backend: SNAPSHOT_EXISTS, and what is there stays as it is", async () => {
    const place = await make();
    const snapshot = await place.store({ now: () => AT }).register("a", new Cell("kept")).saveState();
    for (const suffix of ["/", ".tar.gz", ".tar.zst"]) {
      expect(await rejection(place.backend.stage(snapshot.name + suffix))).toMatchObject({
        code: "SNAPSHOT_EXISTS",
        details: { name: snapshot.name },
      });
    }
    expect((await snapshot.verify()).isWhole).toBe(true);
  });

  it("fail a save whose claim fails for another reason, instead of trying permanently", async () => {
    const place = await make();
    let tries = 0;
    const backend = changed(place.backend, {
      stage: () => {
        tries++;
        return Promise.reject(new Error("denied"));
      },
    });
    await rejection(new StateStore(backend, { layout }).saveState());
    expect(tries).toBe(1);
  });
});

describe.each(filePlaces)("names on disk ($layout)", ({ make, layout }) => {
  it("that people changed make keepsakes: not listed, never the latest, but loadable", async () => {
    const place = await make();
    const store = place.store().register("a", new Cell("best"));
    const folder = place.folder ?? "";
    const saved = await store.saveState();
    const suffix = path.basename(String(saved)).slice(saved.name.length);
    const renamed = path.join(folder, `best${suffix}`);
    await rename(String(saved), renamed);
    expect([await store.list(), await store.latest()]).toEqual([[], undefined]);
    const cell = new Cell("other");
    const report = await new StateStore(fileBackend(folder), { layout }).register("a", cell).loadState(renamed);
    expect([cell.value, report.name]).toEqual(["best", saved.name]);
    expect(await readdir(folder)).toEqual([`best${suffix}`]);
  });
});
