// Servers and programs that are killed. What was acknowledged is there; what failed is absent; only where the answer of a commit
// was lost does a save not know, and then it says so.
import process from "node:process";
import { createInterface } from "node:readline";
import { isSnapshotError, StateStore } from "snapkeep";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { credentials } from "../../tools/object_store.mjs";
import { startChild } from "../faults/child.ts";
import { amount } from "../torture/budget.ts";
import { type FaultProxy, faultProxy, type SeenRequest } from "./fault_proxy.ts";
import { hasObjectStore, ownGateway } from "./object_store.ts";
import {
  BLOB,
  failure,
  hurryRetries,
  isCompletion,
  isManifest,
  MIB,
  saveBlob,
  saveGroup,
  UNIT,
  unitsOf,
  world,
} from "./world.ts";

const here = world();
const PARTS = { partBytes: 5 * MIB };

describe.skipIf(!hasObjectStore)("s3Backend when the server is killed", () => {
  let gateway: Awaited<ReturnType<typeof ownGateway>>;
  let proxy: FaultProxy;
  let restarting: Promise<void> | undefined;

  beforeAll(async () => {
    gateway = await ownGateway();
    proxy = await faultProxy(gateway.endpoint, here.client);
    return async () => {
      await proxy.close();
      gateway.kill();
    };
  });
  beforeEach(hurryRetries);
  afterEach(async () => {
    proxy.plan(() => undefined);
    await restart();
  });

  const backendHere = (options = {}) => here.backend({ endpoint: proxy.endpoint, ...options });
  const restart = async () => {
    await restarting;
    restarting = undefined;
  };

  /** Kills the server at a request, before or after it has carried it out; then it stays away, or the proxy waits for it. */
  function killAt(isMeant: (seen: SeenRequest) => boolean, moment: "before" | "after", returns: "at once" | "later") {
    let isKilled = false;
    proxy.plan(async (seen) => {
      if (isKilled) {
        if (returns === "at once") await restarting;
        return returns === "at once" ? undefined : "cut request";
      }
      if (!isMeant(seen)) return undefined;
      isKilled = true;
      if (moment === "after") return "cut answer"; // the server has answered the proxy: the kill then takes the answer with it
      gateway.kill();
      if (returns === "at once") restarting = gateway.restart();
      return "cut request";
    });
    return () => {
      expect(isKilled).toBe(true);
      if (moment === "after") gateway.kill();
      if (returns === "later" || moment === "after") restarting ??= gateway.restart();
      proxy.plan(() => undefined);
    };
  }
  const isPart = ({ target }: SeenRequest) => target.includes("partNumber=2");
  const isClaim = ({ method, target }: SeenRequest) => method === "PUT" && target.includes(".claims/");

  it.each([
    ["the claim", isClaim],
    ["a part", isPart],
    ["the completion", isCompletion],
  ])("and returns, saves an archive once though it died at %s", async (_, isMeant) => {
    const backend = backendHere(PARTS);
    await backend.probe();
    killAt(isMeant, "before", "at once");
    await saveBlob(backend, 11 * MIB);
    expect(await here.raw()).toEqual({ keys: [BLOB], uploads: 0 });
  });

  it.each([
    ["the claim", isClaim],
    ["a part", isPart],
  ])(
    "and stays away, fails an archive with STORAGE_UNREACHABLE at %s, and leaves what a sweep removes",
    async (_, isMeant) => {
      const backend = backendHere(PARTS);
      await backend.probe();
      const over = killAt(isMeant, "before", "later");
      expect(await failure(saveBlob(backend, 11 * MIB))).toMatchObject({ code: "STORAGE_UNREACHABLE" });
      over();
      await restart();
      expect(await unitsOf(backend)).toEqual([]);
      await backend.sweep(-1);
      expect(await here.raw()).toEqual({ keys: [], uploads: 0 });
      await saveBlob(backend, 11 * MIB);
      expect(await unitsOf(backend)).toEqual([BLOB]);
    },
  );

  it.each(
    [
      ["before it carried it out, which is absent then", "before"],
      ["after it carried it out, which is whole then", "after"],
    ] as const,
  )("and stays away at a commit, fails with COMMIT_UNCERTAIN %s", async (_, moment) => {
    for (const [unit, isMeant] of [[UNIT, isManifest], [BLOB, isCompletion]] as const) {
      const backend = backendHere(PARTS);
      await backend.probe();
      const over = killAt(isMeant, moment, "later");
      const save = unit === UNIT ? saveGroup(backend) : saveBlob(backend, 11 * MIB);
      expect(await failure(save)).toMatchObject({ code: "COMMIT_UNCERTAIN" });
      over();
      await restart();
      const isThere = moment === "after";
      expect(await unitsOf(backend), unit).toEqual(isThere ? [unit] : []);
      await backend.sweep(-1);
      const whole = unit === UNIT ? [`${UNIT}a/x`, `${UNIT}manifest.json`] : [BLOB];
      expect(await here.raw()).toEqual({ keys: isThere ? whole : [], uploads: 0 });
      if (isThere) expect(await backend.remove(unit)).toBe(true);
    }
  });

  it("has removed a group or not, never a part of it", async () => {
    const isDelete = ({ method, target }: SeenRequest) => method === "DELETE" && target.includes("manifest.json");
    for (const moment of ["before", "after"] as const) {
      const backend = backendHere();
      await saveGroup(backend);
      const over = killAt(isDelete, moment, "later");
      expect(await failure(backend.remove(UNIT))).toMatchObject({ code: "STORAGE_UNREACHABLE" });
      over();
      await restart();
      expect(await unitsOf(backend)).toEqual(moment === "before" ? [UNIT] : []);
      await backend.sweep(-1);
      expect((await here.raw()).keys).toEqual(moment === "before" ? [`${UNIT}a/x`, `${UNIT}manifest.json`] : []);
      if (moment === "before") expect(await backend.remove(UNIT)).toBe(true);
    }
  });

  it("at random moments, has all that was acknowledged and nothing that failed", async () => {
    const backend = backendHere(PARTS);
    await backend.probe();
    const there = new Set<string>();
    const unknown = new Set<string>();
    for (let kill = 0, step = 0; kill < amount("store", "kills"); kill++) {
      let isKilled = false;
      let left = Math.ceil(Math.random() * 40); // requests; a save has eleven
      proxy.plan(() => {
        if (--left === 0) {
          setTimeout(() => {
            gateway.kill();
            isKilled = true;
          }, Math.random() * 500); // hurried: within the next request or two
        }
        return undefined;
      });
      while (!isKilled) {
        const unit = `${String(++step).padStart(4, "0")}.state${step % 2 ? "/" : ".tar"}`;
        const error = await failure(step % 2 ? saveGroup(backend, unit) : saveBlob(backend, 6 * MIB, unit));
        if (error === undefined) there.add(unit);
        else if (isSnapshotError(error, "COMMIT_UNCERTAIN")) unknown.add(unit);
        else expect(error).toMatchObject({ code: "STORAGE_UNREACHABLE" });
      }
      proxy.plan(() => undefined);
      await gateway.restart();
      const listed = await unitsOf(backend);
      expect(listed.filter((unit) => !unknown.has(unit)), `kill ${kill}`).toEqual([...there].sort());
      await backend.sweep(-1);
      const { keys, uploads } = await here.raw();
      const whole = listed.flatMap((unit) => unit.endsWith("/") ? [`${unit}a/x`, `${unit}manifest.json`] : [unit]);
      expect({ keys, uploads }).toEqual({ keys: whole.sort(), uploads: 0 });
    }
  });
});

describe.skipIf(!hasObjectStore)("a program on s3Backend that is killed", () => {
  const names = ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
  beforeEach(() => {
    const { accessKeyId, secretAccessKey } = credentials;
    const values = [here.place.endpoint as string, accessKeyId, secretAccessKey];
    for (const [index, name] of names.entries()) process.env[name] = values[index];
    return () => {
      for (const name of names) delete process.env[name];
    };
  });

  it("leaves all that it acknowledged whole, and what a sweep removes", async () => {
    const child = startChild("save_for_ever", [here.place.url, "0"]);
    const saved = new Map<string, number>();
    for await (const line of createInterface({ input: child.stdout })) {
      const [verb, name = "", step = ""] = line.split(" ");
      if (verb === "saved") saved.set(name, Number(step));
      if (saved.size === 3) child.kill("SIGKILL"); // in the middle of the next one
    }
    const store = new StateStore(here.backend());
    const listed = await store.list();
    expect(listed.map(({ name }) => name).slice(0, 3)).toEqual([...saved.keys()].slice(0, 3));
    for (const snapshot of listed) {
      expect((await snapshot.verify()).isWhole).toBe(true);
      await using reader = await snapshot.open();
      const step = await reader.json("model/step.json");
      if (saved.has(snapshot.name)) expect(step).toBe(saved.get(snapshot.name));
    }
    await here.backend().sweep(-1);
    const { keys, uploads } = await here.raw();
    expect([keys.filter((key) => key.startsWith(".")), uploads]).toEqual([[], 0]);
    expect(new Set(keys.map((key) => key.split("/")[0])).size).toBe(listed.length);
  });
});
