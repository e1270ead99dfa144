// What becomes of an archive in each way that it can be read; whatever it is, nothing of it is left behind.
import { isSnapshotError, locate, StateStore } from "snapkeep";
import { expect } from "vitest";
import { place, streamOf, TreeState, within } from "./samples.ts";
import { watchedBackend } from "./watched_backend.ts";

/** Accepted, or refused for a reason. */
export interface Verdict {
  readonly code: string;
  readonly reason?: string;
  readonly offset?: number;
}

/** What becomes of an archive that comes as a stream, in pieces. */
export async function verdictOf(bytes: Uint8Array, pieceBytes = 65_536): Promise<Verdict> {
  const backend = watchedBackend({ pieceBytes });
  const state = new TreeState({});
  const store = new StateStore(backend).register("a", state);
  const verdict = await within(60, "Reading it", tell(store.importSnapshot(streamOf(bytes))));
  if (verdict.code !== "accepted") expect(await store.list()).toEqual([]);
  expect([...backend.unreturned]).toEqual([]);
  return verdict;
}

/** Waits for work, and tells how it ended. */
export async function tell(work: Promise<unknown>): Promise<Verdict> {
  try {
    await work;
    return { code: "accepted" };
  } catch (error) {
    if (isSnapshotError(error, "ARCHIVE_REJECTED")) {
      const { reason, offset } = error.details;
      return { code: error.code, reason, offset };
    }
    if (isSnapshotError(error)) return { code: error.code };
    throw error;
  }
}

/** What becomes of an archive that lies in a store: loaded, verified, and opened. */
export async function verdictsInPlace(bytes: Uint8Array): Promise<Verdict> {
  const backend = watchedBackend();
  await place(backend, "made.state.tar.gz", bytes);
  const state = new TreeState({});
  const store = new StateStore(backend).register("a", state);
  const locator = locate(backend, "made.state.tar.gz");
  const verdict = await within(60, "Loading it", tell(store.loadState(locator)));
  const { isWhole } = await within(60, "Verifying it", locator.verify());
  expect(isWhole).toBe(verdict.code === "accepted");
  if (verdict.code !== "accepted") expect(state.loads).toBe(0);
  expect([...backend.unreturned]).toEqual([]);
  return verdict;
}
