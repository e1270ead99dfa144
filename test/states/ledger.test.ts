// What was done is done once: the ledger answers for it after every end, and says what it cannot know.
import { appendFile, lstat, mkdir, readFile, rename, symlink, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import fc from "fast-check";
import {
  fileBackend,
  isSnapshotError,
  LatestStatesKeeper,
  memoryBackend,
  StateStore,
  type StateStoreOptions,
} from "snapkeep";
import { Ledger } from "snapkeep/states";
import { faultyFileSystem, forEachFault, nodeFileSystem } from "snapkeep/testing";
import { describe, expect, it } from "vitest";
import { fastFolder } from "../backend/temporary.ts";
import { CrashFileSystem, seeded, type Tree } from "../torture/crash_file_system.ts";
import { deferred, rejection } from "../store/states.ts";

const folderOf = async () => path.join(await fastFolder(), "states");
const journalOf = (folder: string) => path.join(folder, ".ledger.journal");
const fast = (folder: string) => fileBackend(folder, { durability: "none" });

/** A program that starts at a place. */
async function start(folder: string, options: StateStoreOptions = {}) {
  const ledger = new Ledger();
  const store = new StateStore(fast(folder), options).register("ledger", ledger);
  await store.resume();
  return { ledger, store };
}

/** Starts an action that never ends, as one that a kill cuts off. */
async function beginFor(ledger: Ledger, key: string): Promise<void> {
  const begun = deferred();
  void ledger.once(key, () => {
    begun.resolve();
    return new Promise(() => {});
  });
  await begun.promise;
}

const never = () => {
  throw new Error("it ran");
};

describe("Ledger", () => {
  it("runs an action once, and answers from its record after that", async () => {
    const folder = await folderOf();
    const { ledger } = await start(folder);
    const keys: string[] = [];
    const pay = (key: string) => ({ receipt: keys.push(key) });
    expect(await ledger.once("charge-42", pay)).toEqual({ receipt: 1 });
    expect(await ledger.once("charge-42", never)).toEqual({ receipt: 1 });
    const next = await start(folder);
    expect(await next.ledger.once("charge-42", never)).toEqual({ receipt: 1 });
    expect([keys, next.ledger.inFlight]).toEqual([["charge-42"], []]);
  });

  it.each<[string, unknown]>([
    ["nothing", undefined],
    ["null", null],
    ["a text with newlines", "a\nb\u2028\r\0"],
    ["a Map of Dates", new Map([["a", new Date(5)]])],
    ["bytes", { bytes: new Uint8Array([1, 2, 255]), more: new Float64Array([0.5]) }],
    ["an Error", new RangeError("no")],
    ["numbers JSON lacks", [NaN, -0, 10n]],
    ["a key that is a trap", JSON.parse('{"__proto__x":1,"constructor":2}')],
  ])("keeps %s as an outcome", async (_, outcome) => {
    const folder = await folderOf();
    await (await start(folder)).ledger.once("it", () => outcome);
    const { ledger } = await start(folder);
    const again = await ledger.once("it", never as () => unknown);
    expect(again).toEqual(outcome);
    if (typeof again === "object" && again !== null) expect(await ledger.once("it", never)).not.toBe(again);
  });

  it("takes any text as a key", async () => {
    const folder = await folderOf();
    const { ledger } = await start(folder);
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary" }).map((text) => `key ${text}`), async (key) => {
        const outcome = await ledger.once(key, (given) => given);
        expect(outcome).toBe(key);
      }),
      { numRuns: 50 },
    );
    for (const key of ["__proto__", "constructor", "\n", '"', "\ud800", "a".repeat(5_000)]) {
      expect(await ledger.once(key, () => "ran")).toBe("ran");
    }
    const next = await start(folder);
    for (const key of ["__proto__", "constructor", "\n", '"', "\ud800", "a".repeat(5_000)]) {
      expect(await next.ledger.once(key, never as () => unknown)).toBe("ran");
    }
  });

  it("records the start before it runs, and the outcome before it resolves", async () => {
    const folder = await folderOf();
    const { ledger } = await start(folder);
    let during = "";
    await ledger.once("it", async () => void (during = await readFile(journalOf(folder), "utf8")));
    expect(during).toContain('"status":"started"');
    expect(await readFile(journalOf(folder), "utf8")).toContain('"status":"done"');
  });

  it("shares one run between concurrent calls", async () => {
    const { ledger } = await start(await folderOf());
    let runs = 0;
    const run = async () => {
      runs++;
      await Promise.resolve();
      return { runs };
    };
    const [a, b] = await Promise.all([ledger.once("it", run), ledger.once("it", run), ledger.once("other", run)]);
    expect([a === b, runs]).toEqual([true, 2]);
    const failing = [1, 2].map(() => rejection(ledger.once("bad", () => Promise.reject(new Error("no")))));
    expect(await Promise.all(failing)).toEqual([new Error("no"), new Error("no")]);
  });

  it("records what threw as failed, and runs it again", async () => {
    const folder = await folderOf();
    const { ledger } = await start(folder);
    const error = new Error("declined");
    expect(await rejection(ledger.once("it", () => Promise.reject(error)))).toBe(error);
    const next = await start(folder);
    expect(next.ledger.inFlight).toEqual([]);
    expect(await next.ledger.once("it", () => "paid")).toBe("paid");
    expect(await (await start(folder)).ledger.once("it", never as () => unknown)).toBe("paid");
  });

  it("rejects what was in flight when the program ended, unless it is to run", async () => {
    const folder = await folderOf();
    const first = await start(folder);
    await first.ledger.once("done", () => 1);
    await beginFor(first.ledger, "charge-7");
    expect(first.ledger.inFlight).toEqual([]);
    const { ledger } = await start(folder);
    expect(ledger.inFlight).toEqual(["charge-7"]);
    const error = await rejection(ledger.once("charge-7", never));
    expect(isSnapshotError(error, "LEDGER_IN_FLIGHT") && error.details.key).toBe("charge-7");
    expect((error as Error).message).toMatch(/"charge-7".*inFlight: "run"/);
    expect(ledger.inFlight).toEqual(["charge-7"]);
    expect(await ledger.once("charge-7", () => "found out", { inFlight: "run" })).toBe("found out");
    expect(ledger.inFlight).toEqual([]);
    expect(await (await start(folder)).ledger.once("charge-7", never as () => unknown)).toBe("found out");
  });

  it("tells what is in flight after a resume that finds nothing, and after startFresh", async () => {
    const folder = await folderOf();
    const first = await start(folder);
    await first.ledger.once("done", () => 1);
    await beginFor(first.ledger, "open");
    expect((await start(folder)).ledger.inFlight).toEqual(["open"]);
    const ledger = new Ledger();
    new StateStore(fast(folder), { startFresh: true }).register("ledger", ledger);
    expect(await ledger.once("done", never as () => unknown)).toBe(1);
    expect(ledger.inFlight).toEqual(["open"]);
  });

  it("forgets nothing when it is rewound, and tells what has happened since", async () => {
    const folder = await folderOf();
    const { ledger, store } = await start(folder);
    await ledger.once("before", () => 1);
    const snapshot = await store.saveState();
    await ledger.once("after", () => 2);
    await rejection(ledger.once("failed", () => Promise.reject(new Error("no"))));
    await store.saveState();
    await store.loadState(snapshot);
    expect(await ledger.once("after", never as () => unknown)).toBe(2);
    expect(ledger.since).toEqual([
      { key: "after", status: "done", at: expect.any(Date) },
      { key: "failed", status: "failed", at: expect.any(Date) },
    ]);
    const next = new Ledger();
    const other = new StateStore(fast(folder)).register("ledger", next);
    await other.resume({ name: snapshot.name });
    expect(next.since.map(({ key }) => key)).toEqual(["after", "failed"]);
    expect(await next.once("after", never as () => unknown)).toBe(2);
  });

  it("travels with copies, and is durable where they are loaded", async () => {
    const first = await start(await folderOf());
    await first.ledger.once("done", () => "there");
    await beginFor(first.ledger, "open");
    const snapshot = await first.store.saveState();
    const elsewhere = await folderOf();
    const { ledger, store } = await start(elsewhere);
    const empty = await store.saveState();
    await ledger.once("mine", () => "here");
    await store.loadState(await store.importSnapshot(snapshot.stream()));
    expect([await ledger.once("done", never as () => unknown), ledger.inFlight]).toEqual(["there", ["open"]]);
    const next = new Ledger();
    await new StateStore(fast(elsewhere)).register("ledger", next).loadState(empty);
    expect(await next.once("done", never as () => unknown)).toBe("there");
    expect(await next.once("mine", never as () => unknown)).toBe("here");
    expect(next.inFlight).toEqual(["open"]);
  });

  it("saves the same before and after a restart", async () => {
    const folder = await folderOf();
    const { ledger, store } = await start(folder, { program: "shop" });
    await ledger.once("a", () => 1);
    await rejection(ledger.once("b", () => Promise.reject(new Error("no"))));
    const snapshot = await store.saveState();
    const next = await start(folder, { program: "shop" });
    expect((await next.store.compare(snapshot)).isEqual).toBe(true);
  });

  it("keeps programs that share a place apart, and its journal when it is renamed", async () => {
    const folder = await folderOf();
    const shop = await start(folder, { program: "shop" });
    await shop.ledger.once("charge-1", () => "shop's");
    const bank = new Ledger();
    new StateStore(fast(folder), { program: "bank", startFresh: true }).register("ledger", bank);
    expect(await bank.once("charge-1", () => "bank's")).toBe("bank's");
    await bank.forget(new Date(Date.now() + 1000));
    const payments = new Ledger();
    new StateStore(fast(folder), { program: "shop", startFresh: true }).register("payments", payments, {
      formerly: ["ledger"],
    });
    expect(await payments.once("charge-1", never as () => unknown)).toBe("shop's");
  });

  it("forgets what ended before a time, for good", async () => {
    const folder = await folderOf();
    let nowMs = 1_000;
    const { ledger, store } = await start(folder, { now: () => nowMs });
    await ledger.once("old", () => 1);
    await rejection(ledger.once("failed", () => Promise.reject(new Error("no"))));
    await beginFor(ledger, "open");
    nowMs = 2_000;
    await ledger.once("new", () => 2);
    const before = await readFile(journalOf(folder), "utf8");
    expect(await ledger.forget(new Date(2_000))).toBe(2);
    expect(await ledger.forget(new Date(2_000))).toBe(0);
    expect((await readFile(journalOf(folder), "utf8")).length).toBeLessThan(before.length);
    expect(await ledger.once("old", () => "again")).toBe("again");
    await store.saveState();
    const next = await start(folder);
    expect(next.ledger.inFlight).toEqual(["open"]);
    expect(await next.ledger.once("new", never as () => unknown)).toBe(2);
    expect(await next.ledger.once("failed", () => "ran")).toBe("ran");
    expect(await rejection(ledger.forget(new Date(NaN)))).toBeInstanceOf(RangeError);
    expect(await rejection(ledger.forget(5 as never))).toBeInstanceOf(RangeError);
  });

  it("loses nothing that another program appends while it forgets", async () => {
    const folder = await folderOf();
    const [one, two] = [await start(folder), await start(folder)];
    const acting = async () => {
      for (let at = 0; at < 120; at++) await one.ledger.once(`one-${at}`, () => at);
    };
    const forgetting = async () => {
      for (let at = 0; at < 40; at++) {
        await two.ledger.once(`two-${at}`, () => at);
        await two.ledger.forget(new Date(at % 2 === 0 ? Date.now() + 1000 : 0));
      }
    };
    // Only its own actions are old enough: those of the other program are dated later.
    const late = new Ledger();
    new StateStore(fast(folder), { startFresh: true, now: () => Date.now() + 1e9 }).register("ledger", late);
    const actingLate = async () => {
      for (let at = 0; at < 120; at++) await late.once(`late-${at}`, () => at);
    };
    await Promise.all([acting(), forgetting(), actingLate()]);
    const { ledger } = await start(folder);
    for (let at = 0; at < 120; at++) expect(await ledger.once(`late-${at}`, never as () => unknown)).toBe(at);
  });

  it("reopens a journal that was replaced before it appends", async () => {
    const folder = await folderOf();
    const { ledger } = await start(folder);
    await ledger.once("a", () => 1);
    const text = await readFile(journalOf(folder));
    await writeFile(`${journalOf(folder)}.new`, text);
    await rename(`${journalOf(folder)}.new`, journalOf(folder));
    await ledger.once("b", () => 2);
    const next = await start(folder);
    expect(await next.ledger.once("a", never as () => unknown)).toBe(1);
    expect(await next.ledger.once("b", never as () => unknown)).toBe(2);
  });

  it("names an action whose outcome is too long for a line, and shortens the reason of a failure", async () => {
    const folder = await folderOf();
    const { ledger } = await start(folder);
    expect(await rejection(ledger.once("long", () => "x".repeat(17 * 1024 * 1024)))).toMatchObject({
      name: "TypeError",
      message: expect.stringMatching(/outcome of "long".*more than 16777216 bytes.*in flight/),
    });
    await rejection(ledger.once("bad", () => Promise.reject(new Error("y".repeat(17 * 1024 * 1024)))));
    expect((await readFile(journalOf(folder), "utf8")).length).toBeLessThan(10_000);
    const next = await start(folder);
    expect(next.ledger.inFlight).toEqual(["long"]);
    expect(await next.ledger.once("bad", () => "ran")).toBe("ran");
    await rejection(ledger.once("k".repeat(17 * 1024 * 1024), never));
    expect(ledger.inFlight).toEqual(["long"]);
  });

  it("keeps a large outcome, and many records", async () => {
    const folder = await folderOf();
    const { ledger } = await start(folder);
    const large = "z".repeat(9 * 1024 * 1024);
    await ledger.once("large", () => large);
    await Promise.all(Array.from({ length: 2_000 }, (_, at) => ledger.once(`many-${at}`, () => at)));
    const next = await start(folder);
    expect(await next.ledger.once("large", never as () => unknown)).toBe(large);
    for (let at = 0; at < 2_000; at++) expect(await next.ledger.once(`many-${at}`, never as () => unknown)).toBe(at);
  });

  it("saves what the journal has, also in the first save of a fresh start", async () => {
    const folder = await folderOf();
    await (await start(folder)).ledger.once("a", () => "done");
    const store = new StateStore(fast(folder), { startFresh: true }).register("ledger", new Ledger());
    const snapshot = await store.saveState();
    const elsewhere = await start(await folderOf());
    await elsewhere.store.loadState(await elsewhere.store.importSnapshot(snapshot.stream()));
    expect(await elsewhere.ledger.once("a", never as () => unknown)).toBe("done");
  });

  it("loses no action that ends while a snapshot is loaded", async () => {
    const first = await start(await folderOf());
    await first.ledger.once("a", () => "done");
    const { ledger, store } = await start(await folderOf());
    const snapshot = await store.importSnapshot((await first.store.saveState()).stream());
    const acting = Array.from({ length: 20 }, (_, at) => ledger.once(`b-${at}`, () => at));
    await Promise.all([store.loadState(snapshot), ...acting]);
    expect(await ledger.once("a", never as () => unknown)).toBe("done");
    for (let at = 0; at < 20; at++) expect(await ledger.once(`b-${at}`, never as () => unknown)).toBe(at);
    expect(ledger.inFlight).toEqual([]);
  });

  it("keeps two ledgers of one store apart, and stays when the place is swept, verified and cleaned up", async () => {
    const folder = await folderOf();
    const make = () => {
      const [one, two] = [new Ledger(), new Ledger()];
      const store = new StateStore(fast(folder)).register("one", one).register("two", two);
      return { one, two, store };
    };
    const { one, two, store } = make();
    await store.resume();
    await one.once("a", () => "of one");
    expect(await two.once("a", () => "of two")).toBe("of two");
    for (let save = 0; save < 3; save++) await store.saveState();
    await new LatestStatesKeeper(store, 1).cleanup();
    await store.sweep({ force: true });
    for await (const report of store.verify()) expect(report.findings).toEqual([]);
    for (const snapshot of await store.list()) await snapshot.remove();
    const next = make();
    expect((await next.store.resume()).outcome).toBe("fresh");
    expect(await next.one.once("a", never as () => unknown)).toBe("of one");
    expect(await next.two.once("a", never as () => unknown)).toBe("of two");
  });

  it.each<[string, (file: string) => Promise<unknown>]>([
    ["a folder", (file) => mkdir(file)],
    ["a link to nothing", (file) => symlink(path.join(path.dirname(file), "nothing"), file)],
  ])("acts not at all where %s lies in the place of its journal", async (_, put) => {
    const folder = await folderOf();
    await mkdir(folder, { recursive: true });
    await put(journalOf(folder));
    const ledger = new Ledger();
    new StateStore(fast(folder), { startFresh: true }).register("ledger", ledger);
    expect(await rejection(ledger.once("a", never))).toMatchObject({ code: "STORAGE_FAILED" });
    expect(ledger.inFlight).toEqual([]);
  });

  it("is refused on a file system of others that cannot append", async () => {
    const { openToAppend: _, ...fileSystem } = nodeFileSystem;
    const store = new StateStore(fileBackend(await folderOf(), { fileSystem }));
    expect(() => store.register("ledger", new Ledger())).toThrow(/needs a folder for its journal/);
  });

  it("closes its journal soon after the last action", async () => {
    const folder = await folderOf();
    const [opened, closed] = [[] as string[], deferred()];
    const files = {
      ...nodeFileSystem,
      async openToAppend(file: string) {
        opened.push(file);
        const open = await nodeFileSystem.openToAppend!(file);
        return new Proxy(open, {
          get: (target, name) => {
            const member: unknown = Reflect.get(target, name, target);
            if (typeof member !== "function") return member;
            return (...args: unknown[]) => {
              if (name === "close") closed.resolve();
              return Reflect.apply(member, target, args) as unknown;
            };
          },
        });
      },
    };
    const ledger = new Ledger();
    new StateStore(fileBackend(folder, { fileSystem: files }), { startFresh: true }).register("ledger", ledger);
    for (const key of ["a", "b", "c"]) await ledger.once(key, () => 1);
    expect(opened).toEqual([journalOf(folder)]);
    await closed.promise;
    await ledger.once("d", () => 1);
    expect(opened).toEqual([journalOf(folder), journalOf(folder)]);
  });

  it("passes over torn tails, never cuts them, and begins a new line behind them", async () => {
    const folder = await folderOf();
    await (await start(folder)).ledger.once("a", () => 1);
    const whole = await readFile(journalOf(folder));
    for (let cut = 1; cut < whole.length; cut += 7) {
      await writeFile(journalOf(folder), whole.subarray(0, cut));
      const { ledger } = await start(folder);
      await ledger.once("b", () => 2, { inFlight: "run" });
      const now = await readFile(journalOf(folder));
      expect(now.subarray(0, cut).equals(whole.subarray(0, cut))).toBe(true);
      const next = await start(folder);
      expect(await next.ledger.once("b", never as () => unknown)).toBe(2);
    }
  });

  it.each<[string, string | Uint8Array]>([
    ["garbage", "\nnot JSON"],
    ["bytes that are no UTF-8", new Uint8Array([10, 0xff, 0xfe, 10])],
    ["zeros", new Uint8Array(4096)],
    ["a record without a checksum", '\n{"key":"x","status":"done","atMs":1,"outcome":"[1]"}'],
    [
      "a record with a false checksum",
      '\n{"key":"x","status":"done","atMs":1,"outcome":"[1]","check":"0123456789abcdef"}',
    ],
    ["__proto__", '\n{"__proto__":{"key":"x"},"status":"done"}\n'],
    ["nesting", `\n${"[".repeat(100_000)}\n`],
    ["an endless line", `\n"${"x".repeat(17 * 1024 * 1024)}`],
    ["null", "\nnull\n"],
  ])("passes over %s", async (_, text) => {
    const folder = await folderOf();
    await (await start(folder)).ledger.once("a", () => 1);
    await appendFile(journalOf(folder), text);
    const { ledger } = await start(folder);
    expect([await ledger.once("a", never as () => unknown), ledger.inFlight]).toEqual([1, []]);
    expect(await ledger.once("x", () => "ran")).toBe("ran");
    expect(await (await start(folder)).ledger.once("x", never as () => unknown)).toBe("ran");
  });

  it("counts a damaged outcome as in flight, never as not begun", async () => {
    const folder = await folderOf();
    await (await start(folder)).ledger.once("a", () => 1);
    const { size } = await lstat(journalOf(folder));
    await truncate(journalOf(folder), size - 3);
    const { ledger } = await start(folder);
    expect(ledger.inFlight).toEqual(["a"]);
    expect(await rejection(ledger.once("a", never))).toMatchObject({ code: "LEDGER_IN_FLIGHT" });
  });

  it("changes nothing when a snapshot holds what is no record", async () => {
    for (const text of ["x\n", '{"key":"x"}\n', "{}", "\n"]) {
      const folder = await folderOf();
      const { ledger, store } = await start(folder);
      await ledger.once("a", () => 1);
      const bad = new StateStore(memoryBackend()).register("ledger", {
        saveState: (out) => out.write("ledger.jsonl", text),
        loadState() {},
      });
      expect(await rejection(store.loadState(await bad.saveState()))).toMatchObject({
        cause: { code: "ENTRY_INVALID" },
      });
      expect(await ledger.once("a", never as () => unknown)).toBe(1);
    }
  });

  it("follows no link", async () => {
    const folder = await folderOf();
    await mkdir(folder, { recursive: true });
    const elsewhere = path.join(await fastFolder(), "target");
    await writeFile(elsewhere, "untouched");
    await symlink(elsewhere, journalOf(folder));
    const ledger = new Ledger();
    const store = new StateStore(fast(folder), { startFresh: true }).register("ledger", ledger);
    expect(await rejection(ledger.once("a", never))).toMatchObject({ code: "STORAGE_FAILED" });
    expect(await rejection(store.resume())).toMatchObject({ code: "STATE_LOAD_FAILED" });
    expect(await readFile(elsewhere, "utf8")).toBe("untouched");
  });

  it("counts an action whose outcome cannot be recorded as in flight", async () => {
    const folder = await folderOf();
    const { ledger } = await start(folder);
    expect(await rejection(ledger.once("a", () => () => {}))).toMatchObject({
      message: expect.stringMatching(/outcome of "a".*in flight/),
    });
    expect(ledger.inFlight).toEqual(["a"]);
    expect((await start(folder)).ledger.inFlight).toEqual(["a"]);
  });

  it("is refused by backends without a folder, and used only when it is registered", async () => {
    const store = new StateStore(memoryBackend());
    expect(() => store.register("ledger", new Ledger())).toThrow(/needs a folder for its journal/);
    expect(store.stateNames).toEqual([]);
    expect(await rejection(new Ledger().once("a", never))).toMatchObject({
      message: expect.stringMatching(/not registered/),
    });
    const ledger = new Ledger();
    new StateStore(fast(await folderOf())).register("ledger", ledger);
    const other = new StateStore(fast(await folderOf()));
    expect(() => other.register("ledger", ledger)).toThrow(/registered as "ledger" already/);
  });

  it("refuses what cannot be meant", async () => {
    const { ledger } = await start(await folderOf());
    expect(await rejection(ledger.once("", never))).toBeInstanceOf(TypeError);
    expect(await rejection(ledger.once(7 as never, never))).toBeInstanceOf(TypeError);
    expect(await rejection(ledger.once("a", "pay" as never))).toBeInstanceOf(TypeError);
    expect(await rejection(ledger.once("a", never, { inflight: "run" } as never))).toMatchObject({
      message: expect.stringMatching(/inFlight/),
    });
    expect(await rejection(ledger.once("a", never, { inFlight: "again" as never }))).toBeInstanceOf(TypeError);
    expect(ledger.inFlight).toEqual([]);
  });

  it("runs nothing twice and loses nothing recorded when any system call fails", async () => {
    let injected = 0;
    await forEachFault(async (faults) => {
      const folder = await folderOf();
      const runs = new Map<string, number>();
      const ended = new Set<string>();
      const ledger = new Ledger();
      const backend = fileBackend(folder, { fileSystem: faultyFileSystem(nodeFileSystem, faults) });
      new StateStore(backend, { startFresh: true }).register("ledger", ledger);
      for (const key of ["a", "b", "a", "c"]) {
        await ledger.once(key, () => void runs.set(key, (runs.get(key) ?? 0) + 1)).then(
          () => ended.add(key),
          () => {},
        );
        if (key === "b") await ledger.forget(new Date(0)).catch(() => {});
      }
      injected += faults.injected.length;
      const next = await start(folder);
      for (const key of ["a", "b", "c"]) {
        const ran = runs.get(key) ?? 0;
        expect(ran, key).toBeLessThanOrEqual(1);
        const isOpen = next.ledger.inFlight.includes(key);
        if (ended.has(key)) expect(await next.ledger.once(key, never as () => unknown)).toBeUndefined();
        else if (ran === 1 && !isOpen) expect(await next.ledger.once(key, never as () => unknown)).toBeUndefined();
      }
    });
    expect(injected).toBeGreaterThan(10);
  });
});

describe("a crash at any call of a ledger", () => {
  const ROOT = "/states";

  interface Seen {
    readonly begun: ReadonlySet<string>;
    readonly ended: ReadonlySet<string>;
  }

  /** Does some actions and saves; tells at each call of the file system what the disk may hold. */
  async function crashes(
    tree: Tree,
    onCrash: (tree: Tree, seen: Seen) => void,
    keys: readonly string[],
  ): Promise<Tree> {
    const system = CrashFileSystem.of(tree);
    const random = seeded(7);
    const [begun, ended] = [new Set<string>(), new Set<string>()];
    const look = () => {
      for (const survivor of system.survivors(random, 6, 64)) {
        onCrash(survivor, { begun: new Set(begun), ended: new Set(ended) });
      }
    };
    let nowMs = 5_000;
    const ledger = new Ledger();
    const store = new StateStore(fileBackend(ROOT, { fileSystem: system }), { now: () => nowMs }).register(
      "ledger",
      ledger,
    );
    await store.resume();
    system.onCall = look;
    for (const key of keys) {
      nowMs += 10;
      await ledger.once(key, () => void begun.add(key), { inFlight: "run" });
      ended.add(key);
    }
    await store.saveState();
    await ledger.forget(new Date(1_000));
    await ledger.once("last", () => void begun.add("last"));
    ended.add("last");
    look();
    system.onCall = undefined;
    return system.tree();
  }

  it("keeps what was recorded, and reports what may have happened", async () => {
    const disk = new Map<string, null>([[ROOT, null]]);
    const found: [Tree, Seen][] = [];
    const first = await crashes(disk, (tree, seen) => void found.push([tree, seen]), ["a", "b", "c"]);
    await crashes(
      first,
      (tree, { begun, ended }) =>
        void found.push([tree, {
          begun: new Set([...begun, "a", "b", "c"]),
          ended: new Set([...ended, "a", "b", "c"]),
        }]),
      [
        "d",
      ],
    );
    expect(found.length).toBeGreaterThan(100);
    for (const [tree, { begun, ended }] of found) {
      const ledger = new Ledger();
      const backend = fileBackend(ROOT, { fileSystem: CrashFileSystem.of(tree) });
      const store = new StateStore(backend).register("ledger", ledger);
      await store.resume();
      for (const key of begun) {
        if (ledger.inFlight.includes(key)) {
          expect(ended.has(key), key).toBe(false);
          continue;
        }
        expect(await ledger.once(key, never as () => unknown), key).toBeUndefined();
      }
      expect(await ledger.once("new", () => 1)).toBe(1);
    }
    console.log(`${found.length} crashes looked at`);
  });
});
