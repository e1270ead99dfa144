// The contracts as types: what a state may be, and what it is handed. The compiler is the test; it runs in the gate.
import {
  type Backend,
  type Digest,
  type EntryBody,
  type EntryInfo,
  LatestStatesKeeper,
  type LoadReport,
  memoryBackend,
  pathState,
  PeriodicSaveCondition,
  type PersistentState,
  type ResumeReport,
  type SaveCondition,
  SnapshotLocator,
  type StateReader,
  StateStore,
  type StateWriter,
  type VerifyReport,
} from "snapkeep";
import { describe, expect, expectTypeOf, it } from "vitest";

describe("PersistentState", () => {
  it("may be synchronous or asynchronous, a class or a plain object", () => {
    const plain = { saveState(_out: StateWriter) {}, loadState(_from: StateReader) {} };
    const asynchronous = { async saveState(_out: StateWriter) {}, async loadState(_from: StateReader) {} };
    expectTypeOf(plain).toExtend<PersistentState>();
    expectTypeOf(asynchronous).toExtend<PersistentState>();
    expectTypeOf(pathState).returns.toEqualTypeOf<PersistentState>();
    expectTypeOf<{ saveState(): number }>().not.toExtend<PersistentState>();
    expect(new StateStore(memoryBackend()).register("a", plain).register("b", asynchronous).stateNames).toEqual([
      "a",
      "b",
    ]);
  });
});

describe("StateWriter", () => {
  it("takes text, any view of bytes, and streams of bytes, but no other data", () => {
    expectTypeOf<string>().toExtend<EntryBody>();
    expectTypeOf<Uint8Array>().toExtend<EntryBody>();
    expectTypeOf<Float64Array>().toExtend<EntryBody>();
    expectTypeOf<DataView>().toExtend<EntryBody>();
    expectTypeOf<ReadableStream<Uint8Array>>().toExtend<EntryBody>();
    expectTypeOf<AsyncIterable<Uint8Array>>().toExtend<EntryBody>();
    expectTypeOf<number>().not.toExtend<EntryBody>();
    expectTypeOf<ArrayBuffer>().not.toExtend<EntryBody>();
    expectTypeOf<AsyncIterable<string>>().not.toExtend<EntryBody>();
    expectTypeOf<StateWriter["write"]>().returns.toEqualTypeOf<Promise<void>>();
    expectTypeOf<StateWriter["json"]>().parameter(1).toBeUnknown();
  });
});

describe("StateReader", () => {
  it("yields bytes that own their buffer, text, and JSON of unknown shape", () => {
    expectTypeOf<StateReader["bytes"]>().returns.resolves.toEqualTypeOf<Uint8Array<ArrayBuffer>>();
    expectTypeOf<StateReader["text"]>().returns.resolves.toBeString();
    expectTypeOf<StateReader["json"]>().returns.resolves.toBeUnknown();
    expectTypeOf<StateReader["stream"]>().returns.toEqualTypeOf<ReadableStream<Uint8Array>>();
    expectTypeOf<StateReader["entries"]>().toEqualTypeOf<readonly EntryInfo[]>();
  });
});

describe("reports", () => {
  it("of a resume narrow by their outcome", () => {
    type Resumed = Extract<ResumeReport, { outcome: "resumed" }>;
    type Fresh = Extract<ResumeReport, { outcome: "fresh" }>;
    expectTypeOf<Resumed["snapshot"]>().toEqualTypeOf<SnapshotLocator>();
    expectTypeOf<Resumed["newer"]>().toBeNumber();
    expectTypeOf<Fresh["snapshot"]>().toEqualTypeOf<undefined>();
    expectTypeOf<ResumeReport["outcome"]>().toEqualTypeOf<"resumed" | "fresh">();
  });

  it("of a verification come one by one", () => {
    expectTypeOf<StateStore["verify"]>().returns.toExtend<AsyncIterable<VerifyReport>>();
  });

  it("name digests as manifests do", () => {
    expectTypeOf<EntryInfo["digest"]>().toEqualTypeOf<Digest>();
  });
});

describe("StateStore", () => {
  it("takes a path, a URL or a backend, and chains registrations", () => {
    expectTypeOf<ConstructorParameters<typeof StateStore>[0]>().toEqualTypeOf<string | URL | Backend>();
    const store = new StateStore("unused");
    expectTypeOf(() => store.saveState()).returns.resolves.toEqualTypeOf<SnapshotLocator>();
    expectTypeOf(() => store.saveState({ ifBusy: "join", labels: {} })).returns.resolves.toEqualTypeOf<
      SnapshotLocator
    >();
    expectTypeOf(() => store.saveState({ ifBusy: "skip" })).returns.resolves.toEqualTypeOf<
      SnapshotLocator | undefined
    >();
    expectTypeOf(() => store.saveState({ ifUnchanged: "skip" })).returns.resolves
      .toEqualTypeOf<SnapshotLocator | undefined>();
    expectTypeOf<StateStore["loadState"]>().parameter(0).toExtend<SnapshotLocator | string | URL | ReadableStream>();
    expectTypeOf<StateStore["loadState"]>().returns.resolves.toExtend<LoadReport>();
    expectTypeOf<StateStore["latest"]>().returns.resolves.toEqualTypeOf<SnapshotLocator | undefined>();
  });
});

describe("SaveCondition", () => {
  it("is any function to a boolean, or an object with such a method check", () => {
    const condition = new PeriodicSaveCondition(1);
    expectTypeOf<() => boolean>().toExtend<SaveCondition>();
    expectTypeOf<{ check(): boolean }>().toExtend<SaveCondition>();
    expectTypeOf(condition).toExtend<SaveCondition>();
    expectTypeOf<() => Promise<boolean>>().not.toExtend<SaveCondition>();
    expect(condition.check()).toBe(false);
  });
});

describe("LatestStatesKeeper", () => {
  it("takes the arguments of pamiq-core's, or a store in place of the folder", () => {
    type Arguments = ConstructorParameters<typeof LatestStatesKeeper>;
    expectTypeOf<Arguments[1]>().toBeNumber();
    expectTypeOf<Arguments[2]>().toEqualTypeOf<string | undefined>();
    expectTypeOf<StateStore>().toExtend<Arguments[0]>();
    expectTypeOf<string>().toExtend<Arguments[0]>();
    expectTypeOf<LatestStatesKeeper["cleanup"]>().returns.resolves.toEqualTypeOf<SnapshotLocator[]>();
  });
});
