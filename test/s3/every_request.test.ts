// The network or the store fails at each request of an operation, once or from then on. Whatever an operation says is so.
import { describe, expect, it } from "vitest";
import type { Backend } from "snapkeep";
import { amount, report } from "../torture/budget.ts";
import type { Fault, SeenRequest } from "./fault_proxy.ts";
import { hasObjectStore, newPlace } from "./object_store.ts";
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
const NAME = "2026-01-02.state";
const GROUP = [`${UNIT}a/x`, `${UNIT}manifest.json`];

interface Operation {
  readonly prepare?: (backend: Backend) => Promise<unknown>;
  readonly perform: (backend: Backend) => Promise<unknown>;
  /** The request that decides. */
  readonly isCommit: (seen: SeenRequest) => boolean;
  /** The keys before it and after it. */
  readonly before: readonly string[];
  readonly after: readonly string[];
}

const operations: Record<string, Operation> = {
  "the save of a directory": { perform: saveGroup, isCommit: isManifest, before: [], after: GROUP },
  "the save of an archive in parts": {
    perform: (backend) => saveBlob(backend, 6 * MIB),
    isCommit: isCompletion,
    before: [],
    after: [BLOB],
  },
  "a removal": {
    prepare: saveGroup,
    perform: (backend) => backend.remove(UNIT),
    isCommit: ({ method, target }) => method === "DELETE" && target.includes("/manifest.json"),
    before: GROUP,
    after: [],
  },
  "a label": {
    async perform({ notes }) {
      const unlock = await notes.lock?.(NAME);
      try {
        await notes.get(NAME);
        await notes.put(NAME, new Uint8Array([1]));
      } finally {
        await unlock?.();
      }
    },
    isCommit: ({ method, target }) => method === "PUT" && target.includes("/.notes/"),
    before: [],
    after: [`.notes/${NAME}.json`],
  },
};

const faults: readonly Fault[] = ["cut request", "cut answer", { status: 500, code: "InternalError" }];

describe.skipIf(!hasObjectStore)("s3Backend", () => {
  it.each(Object.entries(operations))("keeps its word when any request of %s fails", async (name, operation) => {
    hurryRetries();
    const since = performance.now();
    const stride = amount("store", "stride");
    let struck = 0;

    /** Carries it out on a new place, with a fault at the `nth` request; tells what was asked, and how it ended. */
    const attempt = async (nth: number, fault: Fault, isLasting: boolean) => {
      const backend = here.backend({ url: newPlaceUrl(), partBytes: 5 * MIB });
      await backend.probe();
      await operation.prepare?.(backend);
      const asked: SeenRequest[] = [];
      here.proxy.plan((seen) => {
        asked.push(seen);
        return asked.length - 1 === nth || isLasting && asked.length > nth ? fault : undefined;
      });
      const error = await failure(operation.perform(backend));
      here.proxy.plan(() => undefined);
      return { backend, asked, error };
    };
    let url = "";
    const newPlaceUrl = () => url = newPlace().url;
    const found = async (backend: Backend) => {
      await backend.sweep(-1);
      const { keys, uploads } = await here.raw(url);
      return { keys: keys.filter((key) => !key.startsWith(".locks/")), uploads }; // a lock ends by itself
    };

    const { asked, error } = await attempt(-1, "stall", false);
    expect(error).toBeUndefined();
    const commit = asked.findIndex(operation.isCommit);
    expect(commit).toBeGreaterThan(0);
    for (const [index, fault] of faults.entries()) {
      for (let nth = index % stride; nth < asked.length; nth += stride) {
        struck += 2;
        const of = `${JSON.stringify(fault)} at request ${nth} of ${asked.length}, ${asked[nth]?.method} ${
          asked[nth]?.target
        }`;
        const once = await attempt(nth, fault, false);
        expect(once.error, of).toBeUndefined();
        expect(await found(once.backend), of).toEqual({ keys: operation.after, uploads: 0 });

        const lasting = await attempt(nth, fault, true);
        const code = (lasting.error as { code?: string } | undefined)?.code;
        const usual = typeof fault === "string" ? "STORAGE_UNREACHABLE" : "STORAGE_FAILED";
        const units = await unitsOf(lasting.backend);
        const { keys, uploads } = await found(lasting.backend);
        expect(uploads, of).toBe(0);
        expect(keys, of).toEqual(
          nth > commit || nth === commit && fault === "cut answer" ? operation.after : operation.before,
        );
        expect(await unitsOf(lasting.backend), of).toEqual(units); // a sweep changes nothing that was visible
        if (nth > commit) expect(code, of).toBe(undefined);
        else if (nth < commit) expect(code, of).toBe(usual);
        else expect([usual, "COMMIT_UNCERTAIN"], of).toContain(code);
        const isSave = operation.before.length === 0 && name !== "a label";
        if (nth === commit && isSave) expect(code, of).toBe("COMMIT_UNCERTAIN");
      }
    }
    report("store", since, `${struck} faults in ${name}, of ${asked.length} requests`);
  });
});
