// snapkeep cat
import { Buffer } from "node:buffer";
import { iterate } from "../runtime/bytes.ts";
import type { SnapshotReader } from "../snapshot/snapshot_reader.ts";
import type { Command, Context } from "./command.ts";
import { UsageError } from "./exit_code.ts";
import { isPlainText } from "./visible.ts";

/** Prints an entry. */
export const catCommand: Command = {
  name: "cat",
  group: "Look",
  summary: "Print one entry of a snapshot to stdout.",
  details:
    "Of an archive, also at a URL, it reads only the parts that the entry lies in. All bytes are verified; if they are damaged, " +
    "the exit code is 4 and the output is incomplete.",
  args: [["<snapshot>", "which one"], ["<entry>", "the entry, as <state>/<path>"]],
  options: [{ flags: "-f, --force", about: "print binary data to a terminal" }],
  examples: [
    ["snapkeep cat latest run/run.json -s states", "a JSON entry of the newest"],
    ["snapkeep cat @good model/weights.bin -s states > weights.bin", "a binary one, into a file"],
  ],
  run: async (context, [name, path], { force = false }: { readonly force?: boolean }) => {
    const { signal } = context;
    const entry = path as string;
    const snapshot = await context.snapshot(name as string);
    const reader = await snapshot.open({ signal });
    try {
      await print(context, reader, entry, force);
    } finally {
      await reader.close();
    }
  },
};

const MOST_KEPT = 64 * 1024 * 1024;

/** Whether a terminal may see the entry as it is; larger ones are not looked through. */
async function isPrintable(reader: SnapshotReader, path: string, signal: AbortSignal): Promise<boolean> {
  const entry = reader.entries.find((each) => each.path === path);
  if (entry !== undefined && entry.sizeBytes > MOST_KEPT) return false;
  const bytes = await reader.bytes(path);
  signal.throwIfAborted();
  return isPlainText(bytes);
}

async function print(
  { output, signal }: Context,
  reader: SnapshotReader,
  entry: string,
  force: boolean,
): Promise<void> {
  if (output.isJson) {
    const bytes = await reader.bytes(entry);
    const isText = isPlainText(bytes);
    const data = isText ? new TextDecoder().decode(bytes) : Buffer.from(bytes).toString("base64");
    await output.json({ path: entry, sizeBytes: bytes.length, encoding: isText ? "utf8" : "base64", data });
    return;
  }
  if (output.isTerminal && !force && !await isPrintable(reader, entry, signal)) {
    throw new UsageError(
      `"${entry}" is binary data, or has control characters; write it to a file, or print it with --force`,
    );
  }
  for await (const chunk of iterate(reader.stream(entry))) {
    signal.throwIfAborted();
    await output.bytes(chunk);
  }
}
