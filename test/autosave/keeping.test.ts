// How long a round waits for a keeper on the way down.
import { describe, expect, it } from "vitest";
import { Keeping } from "../../src/autosave/keeping.ts";
import { ManualClock } from "./manual_clock.ts";

describe("Keeping", () => {
  const hanging = { append() {}, cleanup: () => new Promise<never>(() => {}) };

  it("ends waiting when a last save must begin", async () => {
    const keeping = new Keeping(hanging, new ManualClock());
    const cleaning = keeping.clean(undefined);
    keeping.hurry();
    expect(await cleaning).toMatchObject({
      removed: [],
      keeperError: { message: expect.stringMatching(/within 0 ms/) },
    });
  });

  it("waits no longer than the time that a last round has", async () => {
    const clock = new ManualClock();
    const cleaning = new Keeping(hanging, clock).clean(undefined, 500);
    clock.pass(500);
    expect(await cleaning).toMatchObject({ keeperError: { message: expect.stringMatching(/within 500 ms/) } });
  });
});
