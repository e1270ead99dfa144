// The example of a backend keeps the whole contract, and tells of a store that fails.
import { isSnapshotError, StateStore } from "snapkeep";
import { backendConformance } from "snapkeep/testing";
import { describe, expect, it } from "vitest";
import { MapKeyValue } from "../../examples/key_value_backend/key_value.ts";
import { keyValueBackend } from "../../examples/key_value_backend/key_value_backend.ts";

describe("the example of a backend", () => {
  for (const { name, run } of backendConformance(() => keyValueBackend(new MapKeyValue(), "map:/"))) it(name, run);

  it("leaves no key behind, whatever is done with it", async () => {
    const values = new MapKeyValue();
    const backend = keyValueBackend(values, "map:/");
    const store = new StateStore(backend).register("it", { saveState: (out) => out.write("a", "b"), loadState() {} });
    for (const layout of ["directory", "tar.gz"] as const) await (await store.saveState({ layout })).remove();
    const dead = await backend.stage("x/");
    await dead.write("late", [new Uint8Array(10)]);
    await backend.sweep(-1);
    expect(await values.keys("")).toEqual([]);
  });

  it("fails as the storage fails", async () => {
    const values = new MapKeyValue();
    values.set = () => Promise.reject(Object.assign(new Error("no room"), { code: "ENOSPC" }));
    const error = await new StateStore(keyValueBackend(values, "map:/")).saveState().catch((error: unknown) => error);
    expect(isSnapshotError(error, "STORAGE_FULL")).toBe(true);
  });
});
