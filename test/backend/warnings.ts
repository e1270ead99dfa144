// What the library says while a test runs.
import { configure, reset } from "@logtape/logtape";

/** Collects the messages of warnings and errors from now on, until the test ends. */
export async function collectWarnings(): Promise<string[]> {
  const messages: string[] = [];
  await configure({
    reset: true,
    sinks: { list: (record) => void messages.push(record.message.map(String).join("")) },
    loggers: [
      { category: "snapkeep", lowestLevel: "warning", sinks: ["list"] },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["list"] },
    ],
  });
  return messages;
}

let stopping: Promise<void> = Promise.resolve();

/** Stops collecting. Tests that run concurrently end at once, and LogTape refuses a reset during another. */
export async function stopCollecting(): Promise<void> {
  stopping = stopping.then(reset);
  await stopping;
}
