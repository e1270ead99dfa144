// A write that decides, on a store whose answers are given: what others do in between cannot be timed on a real one.
import { describe, expect, it } from "vitest";
import type { ObjectStore } from "../../src/s3/client.ts";
import { decide } from "../../src/s3/decide.ts";
import { storeError, StoreFault } from "../../src/s3/faults.ts";
import type { Conditions } from "../../src/s3/probe.ts";
import { rejection } from "../store/states.ts";

const conditions: Conditions = { create: true, replace: "unquoted", complete: false, remove: false };
const refusal = storeError("put", "s3://b/k", new StoreFault("PreconditionFailed", 412, "refused"));
const silence = storeError("put", "s3://b/k", new StoreFault("ECONNRESET", undefined, "no answer"));

/** Tries to create an object that is there at each write, and gone at each look. */
function creating(answers: readonly unknown[]) {
  let attempt = 0;
  const store = {
    put: () => Promise.reject(answers[attempt++]),
    head: () => Promise.resolve(undefined),
  } as unknown as ObjectStore;
  const options = { condition: { ifNoneMatch: "*" }, writeId: "mine" } as const;
  return decide(store, conditions, "k", new Uint8Array(), options);
}

describe("a write that decides", () => {
  it("is lost if it is refused each time, though the object has gone at each look", async () => {
    expect(await creating([refusal, refusal, refusal])).toBe("lost");
  });

  it("fails if one of its answers was lost, for it may have been carried out", async () => {
    expect(await rejection(creating([refusal, silence, refusal]))).toBe(refusal);
    expect(await rejection(creating([silence, silence, silence]))).toBe(silence);
  });
});
