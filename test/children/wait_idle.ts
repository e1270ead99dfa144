// Leaves something of the library waiting, comes to its end, and tells when the process exits how long that took after it.
//
//   saved          memory that a save needed and that is kept for the next one
//   save           a save whose state never ends, in the layout that comes next
//   load           a load that an unread stream holds back
//   stream         an archive of which only the beginning was read
//   server         a server that never answers
//   body           a server that sends the beginning of its answer
import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { locate, StateStore } from "../../mod.ts";

const [folder = "", task = "", layout = "directory"] = process.argv.slice(2);
const store = new StateStore(folder, { layout: layout as "directory" | "tar.gz" }).register("model", {
  saveState: (out) => out.write("a.bin", new Uint8Array(3_000_000).fill(1)),
  loadState() {},
});

/** Resolves when the save has written for so long that all its timers run. */
async function beginEndlessSave(): Promise<void> {
  let begun = () => {};
  const hasBegun = new Promise<void>((resolve) => begun = resolve);
  async function* endless(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(100_000);
    begun();
    await new Promise(() => {});
  }
  store.register("endless", { saveState: (out) => out.write("b.bin", endless()), loadState() {} });
  void store.saveState();
  await hasBegun;
}

/** A `fetch` that answers every request alike; it opens no connection, which would keep the program alive. */
const answering = (answer: () => Promise<Response>) => answer as unknown as typeof globalThis.fetch;

const tasks: Readonly<Record<string, () => Promise<unknown>>> = {
  saved: () => store.saveState(),
  save: beginEndlessSave,
  async load() {
    const snapshot = await store.saveState();
    store.streamState();
    void store.loadState(snapshot);
  },
  stream: () => store.streamState().body.getReader().read(),
  async server() {
    void locate("https://example.org/x.state.tar.gz", { fetch: answering(() => new Promise(() => {})) }).open();
    await store.list();
  },
  async body() {
    let asked = () => {};
    const wasAsked = new Promise<void>((resolve) => asked = resolve);
    const headers = { "content-range": "bytes 0-99/100", "content-length": "100" };
    const body = () => new ReadableStream<Uint8Array>({ pull: () => asked() });
    const fetch = answering(() => Promise.resolve(new Response(body(), { status: 206, headers })));
    void locate("https://example.org/x.state.tar.gz", { fetch }).open();
    await wasAsked;
  },
};

/** Collects garbage where the runtime lets programs do that: nothing that is still open may be collected. */
async function collectGarbage(): Promise<void> {
  if ("Bun" in globalThis) (globalThis as { Bun: { gc(isNow: boolean): void } }).Bun.gc(true);
  else if (!("Deno" in globalThis)) {
    setFlagsFromString("--expose-gc");
    (runInNewContext("gc") as () => void)();
  }
  await new Promise((resolve) => setImmediate(resolve));
}

await tasks[task]?.();
for (let round = 0; round < 3; round++) await collectGarbage();
const endedAtMs = performance.now();
process.on("exit", () => console.log(`${task} ${Math.round(performance.now() - endedAtMs)}`));
