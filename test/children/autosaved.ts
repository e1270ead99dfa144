// A program with an autosaver, for tests that send it signals. It says on lines of its own what happens to it.
import process from "node:process";
import { autosave, StateStore, type StateWriter } from "../../mod.ts";

/** What the program does. */
export interface Plan {
  /** Folders of its stores, each with an autosaver. */
  readonly folders: readonly string[];
  /** Whether it calls `tick()` after each step; else a timer makes steps. */
  readonly ticks?: boolean;
  /** Whether a step waits in its middle, where the two halves of the state differ. */
  readonly waits?: boolean;
  /** How it listens to SIGTERM itself: before the autosaver is made, or after it. */
  readonly listens?: "before" | "after" | "once before" | "once after";
  /** From which call on a `saveState` never comes to its end. */
  readonly stallsAt?: number;
  readonly graceMs?: number;
  readonly signals?: boolean;
  /** Whether it loads anything. */
  readonly resumes?: boolean;
  /** After how many steps its loop ends. */
  readonly steps?: number;
  /** Whether it kills itself as soon as its first `tick()` has resolved. */
  readonly dies?: boolean;
  /** Whether its loop looks at the signal, instead of having `tick()` end it. */
  readonly looks?: boolean;
}

const plan = JSON.parse(process.argv[2] ?? "") as Plan;
const { ticks = false, waits = false, steps = Infinity, resumes = true, signals = true, graceMs = 8000 } = plan;

/** Resolves once the line is in the pipe. */
function tell(line: string): Promise<void> {
  return new Promise((resolve) => process.stdout.write(`${line}\n`, () => resolve()));
}

const world = { left: 0, right: 0 };
let calls = 0;
const state = {
  async saveState(out: StateWriter): Promise<void> {
    void out.json("world.json", world);
    if (++calls < (plan.stallsAt ?? Infinity)) return;
    await tell("stalls");
    await new Promise(() => {});
  },
  loadState(): void {},
};
const listen = () => {
  const listener = () => void tell("heard");
  if (plan.listens?.startsWith("once")) process.once("SIGTERM", listener);
  else process.on("SIGTERM", listener);
};

if (plan.listens?.endsWith("before")) listen();
const savers = [];
for (const folder of plan.folders) {
  const store = new StateStore(folder).register("world", state);
  if (resumes) {
    const { lastRun } = await store.resume();
    if (lastRun !== undefined) await tell(`last run ${lastRun.ended} ${lastRun.signal ?? ""}`);
  }
  savers.push(autosave(store, {
    condition: () => false,
    signals,
    graceMs,
    labels: () => ({ step: world.right }),
    onEvent: (event) => void tell(`${event.outcome} ${event.reason} ${"error" in event ? String(event.error) : ""}`),
  }));
}
const [saver] = savers;
if (saver === undefined) throw new Error("no folder was given");
if (plan.listens?.endsWith("after")) listen();
saver.signal.addEventListener("abort", () => void tell("aborted"));

async function step(): Promise<void> {
  world.left++;
  if (waits) await new Promise((resolve) => setTimeout(resolve, 20));
  world.right++;
}

process.on("SIGUSR2", () => void saver.requestSave());
await tell("ready");
if (ticks) {
  try {
    for (let done = 0; done < steps && !(plan.looks && saver.signal.aborted); done++) {
      await step();
      await saver.tick();
      if (plan.dies) process.kill(process.pid, "SIGKILL");
      if (done === 0) await tell("ticked");
      if (!waits && steps === Infinity) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await tell("loop ended");
  } catch (error) {
    await tell(`tick rejected ${(error as Error).name}`);
  }
} else if (steps === Infinity) {
  const timer = setInterval(() => void step(), 1);
  saver.signal.addEventListener("abort", () => {
    if (plan.listens !== undefined) clearInterval(timer);
  });
} else {
  for (let done = 0; done < steps; done++) await step();
  await tell("loop ended");
}
