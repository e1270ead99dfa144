// What the agent can do, and a scripted model that says what it does next. A real agent would ask a model here.
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";

/** What the model wants done. */
export interface Call {
  /** Number of the step, from 1 on. */
  readonly step: number;
  readonly tool: "write" | "remember" | "pay" | "checkpoint";
  /** A file, a key of the memory, a payment, or a tag. */
  readonly text: string;
}

/** One step of the conversation. */
export interface Message {
  readonly call: Call;
  readonly result: string;
}

/** What the tools work on. */
export interface Tools {
  readonly memory: Map<string, string>;
  readonly folder: string;
  readonly pay: (key: string) => Promise<string>;
}

const MODULES = ["parser", "planner", "printer"];
const SCRIPT: readonly Omit<Call, "step">[] = [
  { tool: "write", text: "plan.md" },
  { tool: "remember", text: "language" },
  ...MODULES.flatMap((name) => [
    { tool: "pay", text: `search-${name}` } as const,
    { tool: "write", text: `${name}.ts` } as const,
  ]),
  { tool: "checkpoint", text: "before-refactor" },
  ...MODULES.flatMap((name) => [
    { tool: "write", text: `${name}.ts` } as const,
    { tool: "pay", text: `review-${name}` } as const,
    { tool: "remember", text: `reviewed-${name}` } as const,
  ]),
];

/** The model: what to do next, given all that was done; nothing when all is done. */
export function think(messages: readonly Message[]): Call | undefined {
  const next = SCRIPT[messages.length];
  return next === undefined ? undefined : { ...next, step: messages.length + 1 };
}

/** Does what the model says; returns what came of it. */
export async function act({ tool, text, step }: Call, { memory, folder, pay }: Tools): Promise<string> {
  if (tool === "write") await writeFile(path.join(folder, text), `written in step ${step}\n`);
  if (tool === "remember") memory.set(text, `in step ${step}`);
  return tool === "pay" ? await pay(text) : `${tool} ${text}`;
}

/** The outside world: a bank that books every payment. */
export function pay(bank: string, key: string): string {
  appendFileSync(bank, `${key}\n`);
  return `receipt of ${key}`;
}

/** Asks the bank for a payment. */
export function findPayment(bank: string, key: string): string | undefined {
  const booked = existsSync(bank) ? readFileSync(bank, "utf8").split("\n") : [];
  return booked.includes(key) ? `receipt of ${key}` : undefined;
}
