// What happens to a value that a state saves and loads.
import { memoryBackend, type PersistentState, type SnapshotLocator, StateStore } from "snapkeep";

export const storeOf = (state: PersistentState): StateStore =>
  new StateStore(memoryBackend(), { startFresh: true }).register("it", state);

/** Saves a state in a store of its own. */
export const saved = (state: PersistentState): Promise<SnapshotLocator> => storeOf(state).saveState();

/** A cell that a state may get and set. */
export function cell<Value>(value: Value) {
  const held = { value, sets: 0 };
  const accessors = {
    get: () => held.value,
    set: (next: Value): void => {
      held.sets++;
      held.value = next;
    },
  };
  return Object.defineProperty(accessors, "held", { value: held }) as typeof accessors & { readonly held: typeof held };
}

/** A snapshot that holds nothing but these entries of the state "it". */
export function holding(entries: Readonly<Record<string, string | Uint8Array>>): Promise<SnapshotLocator> {
  return saved({
    saveState: (out) => {
      for (const [path, body] of Object.entries(entries)) void out.write(path, body);
    },
    loadState() {},
  });
}

/** Registers each case of a conformance suite as a test of its own. */
export const conforms = (
  cases: readonly { name: string; run: () => Promise<void> }[],
  it: (name: string, run: () => Promise<void>) => void,
) => {
  for (const { name, run } of cases) it(name, run);
};
