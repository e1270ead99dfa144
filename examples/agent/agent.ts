// An agent: conversation, memory, a working folder and paid actions, each in a state of its own.
import { mkdir } from "node:fs/promises";
import path from "node:path";
import type { StateStore } from "snapkeep";
import { folderState, Ledger, linesState, structuredState } from "snapkeep/states";
import { act, findPayment, type Message, pay, think, type Tools } from "./tools.ts";

/** Registers the agent's states in a store. */
export async function register(store: StateStore, folder: string) {
  await mkdir(path.join(folder, "work"), { recursive: true });
  const agent = { messages: [] as Message[], memory: new Map<string, string>() };
  const [work, ledger] = [folderState(path.join(folder, "work")), new Ledger()];
  const write = async (records: AsyncIterable<Message>) => {
    agent.messages = [];
    for await (const message of records) agent.messages.push(message);
  };
  store.register("messages", linesState({ read: () => agent.messages, write }));
  store.register("memory", structuredState({ get: () => agent.memory, set: (memory) => agent.memory = memory }));
  store.register("work", work).register("ledger", ledger);
  return { agent, work, ledger };
}

/** Runs the agent from where its store left it; yields the conversation after each step. */
export async function* run(store: StateStore, folder: string): AsyncGenerator<readonly Message[], void> {
  const { agent, ledger } = await register(store, folder);
  await store.resume();
  const bank = path.join(folder, "bank.txt");
  for (const key of ledger.inFlight) { // it may have been paid or not: the bank knows
    console.log(`in flight ${key}`);
    await ledger.once(key, () => findPayment(bank, key) ?? pay(bank, key), { inFlight: "run" });
  }
  const tools: Tools = {
    memory: agent.memory,
    folder: path.join(folder, "work"),
    pay: (key) => ledger.once(key, () => pay(bank, key)),
    checkpoint: (tag) => store.saveState({ labels: { step: agent.messages.length, tags: [tag] } }),
  };
  for (;;) { // a model that is asked again may answer differently: its answer is saved before the agent acts on it
    const last = agent.messages.at(-1);
    const message = last?.call === undefined ? think(agent.messages) : { result: await act(last.call, tools) };
    if (message === undefined) return;
    agent.messages.push(message);
    yield agent.messages;
  }
}
