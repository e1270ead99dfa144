// Saves and loads over a network that cuts, stalls and refuses. In the end there is one truth: what a save says is what is there.
import { inspect } from "node:util";
import { type Backend, isSnapshotError, StateStore } from "snapkeep";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { readBytes } from "../../src/runtime/reading.ts";
import { credentials } from "../../tools/object_store.mjs";
import { collectWarnings } from "../backend/warnings.ts";
import { first, type SeenRequest } from "./fault_proxy.ts";
import { hasObjectStore } from "./object_store.ts";
import {
  BLOB,
  failure,
  hurryRetries,
  isCompletion,
  isManifest,
  MIB,
  saveBlob,
  saveGroup,
  text,
  UNIT,
  unitsOf,
  world,
} from "./world.ts";

const here = world();

describe.skipIf(!hasObjectStore)("s3Backend", () => {
  describe("when an answer is lost", () => {
    beforeEach(hurryRetries);

    const deciding: [string, (seen: SeenRequest) => boolean, (backend: Backend) => Promise<void>][] = [
      ["of the claim", ({ method, target }) => method === "PUT" && target.includes(".claims/"), saveGroup],
      ["of a blob", ({ method, target }) => method === "PUT" && target.includes("/a/x"), saveGroup],
      ["of the manifest", isManifest, saveGroup],
      [
        "of a small archive",
        ({ method, target }) => method === "PUT" && target.includes(".tar.gz"),
        (backend) => saveBlob(backend, 100),
      ],
      [
        "of the start of an upload",
        ({ target }) => target.includes("uploads"),
        (backend) => saveBlob(backend, 6 * MIB),
      ],
      ["of a part", ({ target }) => target.includes("partNumber=2"), (backend) => saveBlob(backend, 6 * MIB)],
      [
        "of the end of an upload",
        isCompletion,
        (backend) => saveBlob(backend, 6 * MIB),
      ],
      [
        "of the removal of a claim",
        ({ method, target }) => method === "DELETE" && target.includes(".claims/"),
        saveGroup,
      ],
    ];
    it.each(deciding)("%s, saves once and leaves nothing else", async (_, isMeant, save) => {
      const backend = here.backend({ partBytes: 5 * MIB });
      await backend.stage("0.state/").then((stage) => stage.abandon()); // probed
      let cuts = 0;
      const plan = first(1, isMeant, "cut answer");
      here.proxy.plan((seen) => {
        const fault = plan(seen);
        if (fault !== undefined) cuts++;
        return fault;
      });
      await save(backend);
      expect(cuts).toBe(1);
      const [unit = ""] = await unitsOf(backend);
      expect([UNIT, BLOB]).toContain(unit);
      const { keys, uploads } = await here.raw();
      expect(keys).toEqual(unit === UNIT ? [`${UNIT}a/x`, `${UNIT}manifest.json`] : [BLOB]);
      expect(uploads).toBe(0);
    });

    it("and the store cannot be asked, fails with COMMIT_UNCERTAIN and keeps what may be visible", async () => {
      const backend = here.backend();
      const stage = await backend.stage(UNIT);
      await stage.write("a/x", text("x"));
      let isLost = false;
      here.proxy.plan((seen) => {
        if (isLost) return "cut request";
        isLost = isManifest(seen);
        return isLost ? "cut answer" : undefined;
      });
      const error = await failure(stage.publish("manifest.json", text("commit")));
      expect(isSnapshotError(error, "COMMIT_UNCERTAIN")).toBe(true);
      await stage.abandon();
      here.proxy.plan(() => undefined);
      expect(await unitsOf(backend)).toEqual([UNIT]);
      expect((await here.raw()).keys).toContain(`${UNIT}a/x`);
      // The claim beside the commit counts for nothing, and a sweep removes it.
      expect(await backend.sweep(0)).toEqual([]);
      expect((await here.raw()).keys).toEqual([`${UNIT}a/x`, `${UNIT}manifest.json`]);
      expect(await backend.remove(UNIT)).toBe(true);
    });

    it("of a commit that another program made meanwhile, tells the loser SNAPSHOT_EXISTS", async () => {
      const backend = here.backend();
      const stage = await backend.stage(BLOB);
      await here.put(BLOB, "other");
      const error = await failure(stage.publish("", text("mine")));
      expect(isSnapshotError(error, "SNAPSHOT_EXISTS")).toBe(true);
      await stage.abandon();
      const blob = await backend.open(BLOB);
      expect(new TextDecoder().decode(blob && await readBytes(blob, 0, 9))).toBe("other");
    });
  });

  describe("when the network is bad", () => {
    it("sends a part again that was cut, and reads a body again that was cut", async () => {
      hurryRetries();
      const backend = here.backend({ partBytes: 5 * MIB });
      here.proxy.plan(first(2, ({ target }) => target.includes("partNumber="), "cut request"));
      await saveBlob(backend, 12 * MIB);
      here.proxy.plan(first(2, ({ method, target }) => method === "GET" && target.includes(".tar.gz"), "cut body"));
      const blob = await backend.open(BLOB);
      expect(blob?.sizeBytes).toBe(12 * MIB);
      const bytes = blob && await readBytes(blob, 0, 12 * MIB);
      expect(bytes?.every((byte) => byte === 7)).toBe(true);
      await blob?.close();
    });

    it("reads again what stalls, and fails with STORAGE_UNREACHABLE when all stalls", async () => {
      const backend = here.backend({ idleMs: 300 });
      await saveBlob(backend, 2000);
      const isRead = ({ method, target }: SeenRequest) => method === "GET" && target.includes(".tar.gz");
      here.proxy.plan(first(1, isRead, "stall body"));
      const blob = await backend.open(BLOB);
      expect((blob && await readBytes(blob, 0, 2000))?.length).toBe(2000);
      here.proxy.plan((seen) => isRead(seen) ? "stall" : undefined);
      const error = await failure(backend.open(BLOB));
      expect(isSnapshotError(error, "STORAGE_UNREACHABLE")).toBe(true);
    });

    it("survives a few 500 and 503 answers", async () => {
      hurryRetries();
      const backend = here.backend();
      let count = 0;
      here.proxy.plan(() => {
        count++;
        if (count % 7 === 3) return { status: 500, code: "InternalError" };
        return count % 7 === 5 ? { status: 503, code: "SlowDown" } : undefined;
      });
      await saveGroup(backend);
      expect(await unitsOf(backend)).toEqual([UNIT]);
      expect(await backend.remove(UNIT)).toBe(true);
      here.proxy.plan(() => undefined);
      expect((await here.raw()).keys).toEqual([]);
    });

    const lasting: [string, Parameters<typeof first>[2]][] = [
      ["STORAGE_THROTTLED", { status: 503, code: "SlowDown" }],
      ["STORAGE_FORBIDDEN", { status: 403, code: "AccessDenied" }],
      ["STORAGE_UNREACHABLE", "cut request"],
      ["STORAGE_FAILED", { status: 404, code: "NoSuchBucket" }],
    ];
    it.each(lasting)("fails with %s, also where it lists, and leaves nothing", async (code, fault) => {
      hurryRetries();
      const backend = here.backend();
      await saveGroup(backend, "0.state/");
      here.proxy.plan((seen) => isManifest(seen) ? fault : undefined);
      expect(await failure(saveGroup(backend))).toMatchObject({ code });
      here.proxy.plan(() => fault);
      expect(await failure(unitsOf(backend))).toMatchObject({ code });
      const store = new StateStore(backend).register("a", { saveState: (out) => out.json("a", 1), loadState() {} });
      const refused = await failure(store.resume()); // never "fresh"
      expect(isSnapshotError(refused)).toBe(true);
      here.proxy.plan(() => undefined);
      expect(await unitsOf(backend)).toEqual(["0.state/"]);
      expect((await here.raw()).keys.filter((key) => !key.startsWith("0.state/"))).toEqual([]);
    });

    it("abandons a large save without leaving a part, also while parts are sent", async () => {
      hurryRetries();
      const backend = here.backend({ partBytes: 5 * MIB });
      for (const end of ["body", "part", "abandon"] as const) {
        if (end === "part") {
          here.proxy.plan(({ target }) => target.includes("partNumber=3") ? "cut request" : undefined);
        }
        const stage = await backend.stage(BLOB);
        let abandon = () => {};
        const body = async function* () {
          for (let count = 0; count < 8; count++) yield new Uint8Array(3 * MIB);
          if (end === "abandon") abandon();
          await new Promise((resolve) => setImmediate(resolve));
          throw new Error("the body failed");
        };
        const publishing = failure(stage.publish("", body()));
        abandon = () => void stage.abandon();
        expect(await publishing).toBeInstanceOf(Error);
        await stage.abandon();
        expect(await here.raw(), end).toEqual({ keys: [], uploads: 0 });
        here.proxy.plan(() => undefined);
      }
    });

    it("ends an aborted save of small objects though the store is silent, and leaves what a sweep removes", async () => {
      const backend = here.backend();
      const store = new StateStore(backend, { startFresh: true })
        .register("a", { saveState: (out) => out.json("x", 1), loadState() {} });
      await store.saveState();
      const { keys: before } = await here.raw();
      const abort = new AbortController();
      here.proxy.plan(({ method, target }) => {
        if (method !== "PUT" || !target.includes("/a/x")) return undefined;
        abort.abort(new Error("enough"));
        return new Promise(() => {}); // it hangs
      });
      expect(await failure(store.saveState({ signal: abort.signal }))).toMatchObject({ message: "enough" });
      here.proxy.plan(() => undefined);
      expect((await here.raw()).keys.filter((key) => !key.startsWith(".") && !before.includes(key))).toEqual([]);
      await backend.sweep(-1);
      expect((await here.raw()).keys).toEqual(before);
    });

    it("works with a clock that is wrong by an hour", async () => {
      vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 3_600_000 });
      try {
        const backend = here.backend();
        await saveGroup(backend);
        const stage = await backend.stage(BLOB);
        expect(await backend.sweep(10 * 60_000)).toEqual([]); // ages are by the clock of the store
        await stage.publish("", text("archive"));
        expect(await unitsOf(backend)).toEqual([UNIT, BLOB]);
      } finally {
        vi.useRealTimers();
      }
    });
  });

  describe("on a store that ignores conditions", () => {
    const ignoring = () =>
      here.proxy.plan(({ headers }) =>
        headers["if-none-match"] !== undefined || headers["if-match"] !== undefined ? "ignore condition" : undefined
      );

    it("does not save, and says what to do", async () => {
      ignoring();
      const error = await failure(saveGroup(here.backend()));
      expect(error).toMatchObject({ code: "CONDITIONS_IGNORED" });
      expect(String(error)).toContain("withoutConditions");
      expect((await here.raw()).keys).toEqual([]);
    });

    it("saves, removes and labels where one writer at a time is promised", async () => {
      ignoring();
      const backend = here.backend({ withoutConditions: true });
      await saveGroup(backend);
      expect(await failure(saveGroup(backend))).toMatchObject({ code: "SNAPSHOT_EXISTS" });
      const unlock = await backend.notes.lock?.("2026-01-02.state");
      await backend.notes.put("2026-01-02.state", new TextEncoder().encode("note"));
      await unlock?.();
      expect(await backend.remove(UNIT)).toBe(true);
      expect((await here.raw()).keys).toEqual([".notes/2026-01-02.state.json"]);
    });
  });

  it("shows no key, secret or signature in errors, logs and JSON", async () => {
    const wrong = {
      accessKeyId: "AKIASECRETID12345678",
      secretAccessKey: "verysecretkey",
      sessionToken: "secrettoken",
    };
    const throwing = () => Promise.reject(new Error("verysecretkey"));
    const empty = () => Promise.resolve({ accessKeyId: "", secretAccessKey: "verysecretkey" });
    const other = { ...credentials, secretAccessKey: "verysecretkey" };
    const options = [throwing, empty, wrong, other].map((each) => ({ credentials: each }));
    const secrets = ["verysecretkey", "secrettoken", wrong.accessKeyId, ...Object.values(credentials)];
    const logged = await collectWarnings();
    for (const { credentials } of options) {
      const backend = here.backend({ credentials });
      const error = await failure(unitsOf(backend));
      expect(error).toMatchObject({ code: "STORAGE_FORBIDDEN" });
      await backend.scratch().then((scratch) => scratch.remove());
      const refused = await failure(new StateStore(backend).resume());
      const shown = [error, refused].map((each) =>
        inspect(each, { depth: 20, showHidden: true }) + JSON.stringify(each)
      )
        .join() + inspect(backend, { depth: 20 }) + JSON.stringify(backend) + logged.join();
      for (const secret of [...secrets, "Signature=", "AWS4-HMAC", "uthorization:"]) {
        expect(shown).not.toContain(secret);
      }
    }
  });
});
