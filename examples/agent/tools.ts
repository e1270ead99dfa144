// What the agent can do, and a scripted model that says what it does next. A real agent would ask a model here.
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout } from "node:timers/promises";

/** What the model wants done. */
export interface Call {
  /** Number of the call, from 1 on. */
  readonly step: number;
  readonly tool: "write" | "remember" | "pay" | "checkpoint";
  /** A file, a key of the memory, a payment, or a tag. */
  readonly text: string;
}

/** A message: what the model wants done, or what came of it. */
export interface Message {
  readonly call?: Call;
  readonly result?: string;
}

/** What the tools work on. */
export interface Tools {
  readonly memory: Map<string, string>;
  readonly folder: string;
  readonly pay: (key: string) => Promise<string>;
  readonly checkpoint: (tag: string) => Promise<unknown>;
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
export function think(messages: readonly Message[]): Message | undefined {
  const done = messages.filter(({ result }) => result !== undefined).length;
  const next = SCRIPT[done];
  return next && { call: { ...next, step: done + 1 } };
}

/** Does what the model says; returns what came of it. */
export async function act({ tool, text, step }: Call, tools: Tools): Promise<string> {
  if (tool === "write") await writeFile(path.join(tools.folder, text), `written in step ${step}\n`);
  if (tool === "remember") tools.memory.set(text, `in step ${step}`);
  if (tool === "checkpoint") await tools.checkpoint(text);
  return tool === "pay" ? await tools.pay(text) : `${tool} ${text}`;
}

/** The outside world: a bank that books every payment, and takes its time to answer. */
export async function pay(bank: string, key: string): Promise<string> {
  appendFileSync(bank, `${key}\n`);
  await setTimeout(10);
  return `receipt of ${key}`;
}

/** Asks the bank for a payment. */
export function findPayment(bank: string, key: string): string | undefined {
  const booked = existsSync(bank) ? readFileSync(bank, "utf8").split("\n") : [];
  return booked.includes(key) ? `receipt of ${key}` : undefined;
}
