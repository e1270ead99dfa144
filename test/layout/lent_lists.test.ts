// Small files are lent in lists that are valid until the next list is asked for, however short they are: a layout must write one
// list completely before it asks for another.
import { memoryBackend, StateStore } from "snapkeep";
import type { Backend } from "snapkeep/backend";
import { expect, it } from "vitest";

const NAMES = ["a", "b", "c", "d", "e"];

/** An object with some of its methods replaced. */
function changed<T extends object>(object: T, changes: Partial<T>): T {
  return new Proxy(object, {
    get(target, key) {
      if (key in changes) return Reflect.get(changes, key) as unknown;
      const value = Reflect.get(target, key) as unknown;
      return typeof value === "function" ? value.bind(target) as unknown : value;
    },
  });
}

/** A backend that lends one file at a time, each in the memory of the one before, as a busy machine makes it. */
function lendingOne(backend: Backend): Backend {
  const slab = new Uint8Array(64);
  return changed(backend, {
    async *lendSmall(unit, paths) {
      for (const path of paths) {
        const reader = await backend.open(unit, path);
        const bytes = await reader?.read(0, slab.length) ?? new Uint8Array();
        await reader?.close();
        slab.set(bytes);
        yield [slab.subarray(0, bytes.length)];
      }
      slab.fill(0);
    },
  });
}

/** A backend that reads what it is given some turns later, as a thread pool does. */
function writingLate(backend: Backend): Backend {
  const late = async function* (body: Iterable<Uint8Array> | AsyncIterable<Uint8Array>) {
    for await (const chunk of body) {
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setTimeout(resolve));
      yield chunk;
    }
  };
  return changed(backend, {
    async stage(...args: Parameters<Backend["stage"]>) {
      const stage = await backend.stage(...args);
      return changed(stage, { write: (path, body, options) => stage.write(path, late(body), options) });
    },
  });
}

it("an import writes each list of lent files before it asks for the next", async () => {
  const source = memoryBackend();
  const states = (values: string[]) => ({
    async saveState(out: { write(path: string, body: string): Promise<void> }) {
      for (const [index, name] of NAMES.entries()) await out.write(name, values[index] ?? "");
    },
    loadState: () => {},
  });
  const values = NAMES.map((name) => name.repeat(8));
  await new StateStore(source).register("it", states(values)).saveState();
  const [snapshot] = await new StateStore(lendingOne(source)).list();
  const copy = await new StateStore(writingLate(memoryBackend())).importSnapshot(snapshot as never);
  const reader = await copy.open();
  const found = await Promise.all(NAMES.map((name) => reader.text(`it/${name}`)));
  await reader.close();
  expect(found).toEqual(values);
  await copy.verify();
});
