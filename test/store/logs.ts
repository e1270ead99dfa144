// What the library says through LogTape, as a test sees it.
import { configure, type LogRecord, reset } from "@logtape/logtape";
import { onTestFinished } from "vitest";

/** Collects what the library logs until the test has finished. */
export async function collectLogs() {
  const records: LogRecord[] = [];
  await configure({
    sinks: { records: (record) => void records.push(record) },
    loggers: [
      { category: ["logtape", "meta"], sinks: [], lowestLevel: "fatal" },
      { category: ["snapkeep"], sinks: ["records"], lowestLevel: "debug" },
    ],
    reset: true,
  });
  onTestFinished(() => reset());
  return {
    records,
    /** The messages of a level, as `ClassName: text`. */
    of: (level: LogRecord["level"]): string[] =>
      records.filter((record) => record.level === level)
        .map(({ category, message }) => `${category.at(-1)}: ${message.map(String).join("")}`),
  };
}
