// Many things at once, but not too many.
import fc from "fast-check";
import { expect, it } from "vitest";
import { mapAhead, mapBounded } from "../../src/runtime/concurrency.ts";

it("returns results in the order of the items, whatever finishes first", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.integer(), { maxLength: 20 }),
      fc.integer({ min: 1, max: 5 }),
      async (scheduler, items, inFlight) => {
        const result = mapBounded(items, async (item) => {
          await scheduler.schedule(Promise.resolve());
          return item * 2;
        }, inFlight);
        expect(await scheduler.waitFor(result)).toEqual(items.map((item) => item * 2));
      },
    ),
    { numRuns: 50 },
  );
});

it("has no more in flight than allowed, and as many as allowed", async () => {
  let now = 0;
  let most = 0;
  await mapBounded(Array.from({ length: 20 }, (_, index) => index), async () => {
    most = Math.max(most, ++now);
    await Promise.resolve();
    now--;
  }, 3);
  expect(most).toBe(3);
});

it("begins no further item after the first failure, and fails with it", async () => {
  const failure = new Error("third");
  const begun: number[] = [];
  const work = async (item: number) => {
    begun.push(item);
    await Promise.resolve();
    if (item === 2) throw failure;
  };
  await expect(mapBounded([0, 1, 2, 3, 4, 5, 6, 7], work, 2)).rejects.toBe(failure);
  expect(begun).toEqual([0, 1, 2, 3]);
});

it("does nothing for no items", async () => {
  expect(await mapBounded([], () => Promise.reject(new Error("never called")))).toEqual([]);
});

it("mapAhead yields in the order of the items, with no more begun than allowed", async () => {
  let running = 0;
  let most = 0;
  const work = async (item: number) => {
    most = Math.max(most, ++running);
    for (let turn = 0; turn < 5 - item % 5; turn++) await Promise.resolve();
    running--;
    return item * 2;
  };
  const results: number[] = [];
  for await (const result of mapAhead([0, 1, 2, 3, 4, 5, 6], work, 3)) results.push(result);
  expect(results).toEqual([0, 2, 4, 6, 8, 10, 12]);
  expect(most).toBe(3);
});

it("mapAhead aborts and awaits what it has begun when it is left, and begins no more", async () => {
  const begun: number[] = [];
  let ended = 0;
  const work = async (item: number, signal: AbortSignal) => {
    begun.push(item);
    if (item > 0) await new Promise((resolve) => signal.addEventListener("abort", resolve));
    ended++;
  };
  for await (const _result of mapAhead([0, 1, 2, 3], work, 2)) break;
  expect({ begun, ended }).toEqual({ begun: [0, 1], ended: 2 });
});

it("mapAhead fails in the place of the item that failed", async () => {
  const results: number[] = [];
  const work = async (item: number) => {
    await Promise.resolve();
    if (item === 1) throw new Error("no");
    return item;
  };
  const looped = async () => {
    for await (const result of mapAhead([0, 1, 2], work, 3)) results.push(result);
  };
  await expect(looped()).rejects.toThrow("no");
  expect(results).toEqual([0]);
});
