// What a state costs does not grow with their number.
import process from "node:process";
import { memoryBackend, StateStore } from "snapkeep";
import { expect, it } from "vitest";
import { amount } from "../torture/budget.ts";
import { Files } from "./states.ts";

const STATES = amount("speed", "states");

/** Milliseconds of computing that registering, saving, loading and reading so many states takes. */
async function costOf(states: number): Promise<number> {
  const before = process.cpuUsage();
  const store = new StateStore(memoryBackend());
  for (let index = 0; index < states; index++) store.register(`state ${index}`, new Files({ x: "1" }));
  const snapshot = await store.saveState();
  await store.loadState(snapshot, { only: store.stateNames });
  const reader = await snapshot.open();
  for (const name of store.stateNames) await reader.bytes(`${name}/x`);
  await reader.close();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

it("StateStore takes constant time a state to register, save, load and read", async () => {
  await costOf(500); // what is compiled now
  const least = async (states: number) => Math.min(await costOf(states), await costOf(states), await costOf(states));
  expect(await least(STATES)).toBeLessThan(25 * await least(STATES / 10));
}, 120_000);
