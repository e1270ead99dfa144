// Many things at once, but not too many.
import fc from "fast-check";
import { expect, it } from "vitest";
import { mapBounded } from "../../src/runtime/concurrency.ts";

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
