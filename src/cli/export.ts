// snapkeep export
import { basename, dirname, join } from "node:path";
import { nodeFileSystem } from "../file/node_file_system.ts";
import type { ArchiveKind } from "../layout/archive_layout.ts";
import { readAddress, showAddress } from "../model/address.ts";
import { isSnapshotError, SnapshotError } from "../model/errors.ts";
import { suffixOf } from "../model/unit.ts";
import { iterate } from "../runtime/bytes.ts";
import { locate } from "../snapshot/locate.ts";
import { exportAs, type SnapshotLocator } from "../snapshot/locator.ts";
import { type ExportOptions, faultOfFileName, targetOf } from "../snapshot/copying.ts";
import type { Command, Context } from "./command.ts";
import { UsageError } from "./exit_code.ts";
import { sizeText } from "./readable.ts";

const KINDS: readonly ArchiveKind[] = ["tar.gz", "tar.zst", "tar"];

/** Exports a snapshot. */
export const exportCommand: Command = {
  name: "export",
  group: "Move",
  summary: "Write a snapshot as one archive, to a file or to stdout.",
  details:
    "A file is complete or absent. Everything is verified on the way; an archive that goes to stdout in its own layout is passed on as " +
    "it is, and verified by the import.",
  args: [["<snapshot>", "which one"]],
  options: [
    {
      flags: "-o, --output <file>",
      about:
        "file or s3:// URL that ends with .tar.gz, .tar.zst or .tar; into a folder if it ends with /; another name makes a folder; " +
        "- is stdout (default)",
    },
    { flags: "--layout <layout>", about: "archive for stdout: tar.gz, tar.zst or tar", read: readKind },
    { flags: "-f, --force", about: "replace the file if it exists" },
  ],
  examples: [
    ["snapkeep export latest -s states -o backup.tar.gz", "the newest, as a file"],
    ["snapkeep export latest -s states | ssh host snapkeep import - -s states", "to another machine"],
  ],
  run: async (context, [name], { output: target = "-", layout, force = false }: ExportFlags) => {
    const { output } = context;
    const snapshot = await context.snapshot(name as string);
    if (target === "-") {
      if (output.isTerminal) throw new UsageError("the archive would go to the terminal; give -o <file>, or pipe it");
      if (output.isJson) throw new UsageError("stdout carries the archive; use --json with -o <file>");
      await toStdout(context, snapshot, layout);
      return;
    }
    const { totals } = await snapshot.manifest({ signal: context.signal });
    const isFolder = await isFolderOfFiles(target);
    const fault = isFolder ? undefined : faultOfFileName(basename(target));
    if (fault !== undefined && !target.endsWith("/")) {
      throw new UsageError(`${fault}, not as ${showAddress(target)} does; end the name of a folder with /`);
    }
    const progress = await output.progress("export", totals.sizeBytes);
    let copy: SnapshotLocator;
    try {
      const options = {
        ...layout === undefined ? {} : { layout },
        signal: context.signal,
        onProgress: ({ uri, sizeBytes }: { uri: string; sizeBytes: number }) => progress.set(uri, sizeBytes),
      };
      const to = isFolder && !target.endsWith("/") ? `${target}/` : target;
      copy = await toFile(context, snapshot, to, force, options);
    } finally {
      progress.stop();
    }
    const { storedBytes } = await copy.stat();
    if (output.isJson) await output.json({ snapshot: snapshot.name, path: String(copy), storedBytes });
    else output.message(`exported ${snapshot.name} to ${copy} (${sizeText(storedBytes)})`);
  },
};

interface ExportFlags {
  readonly output?: string;
  readonly layout?: ArchiveKind;
  readonly force?: boolean;
}

function readKind(text: string): ArchiveKind {
  const kind = KINDS.find((each) => each === text);
  if (kind !== undefined) return kind;
  throw new UsageError(`"${text}" is not a layout of archives: ${KINDS.join(", ")}`);
}

async function toStdout(
  { output, signal }: Context,
  snapshot: SnapshotLocator,
  layout: ArchiveKind | undefined,
): Promise<void> {
  for await (const chunk of iterate(snapshot.stream({ signal, ...layout === undefined ? {} : { layout } }))) {
    await output.bytes(chunk);
  }
}

/** Whether a folder lies at a target, and no snapshot: then the export goes into it. */
async function isFolderOfFiles(target: string): Promise<boolean> {
  const { path } = readAddress(target);
  if (path === undefined || (await nodeFileSystem.stat(path, true))?.kind !== "folder") return false;
  return await nodeFileSystem.stat(join(path, "manifest.json")) === undefined;
}

async function toFile(
  { promise }: Context,
  snapshot: SnapshotLocator,
  target: string,
  force: boolean,
  options: ExportOptions,
): Promise<SnapshotLocator> {
  try {
    const to = targetOf(target, snapshot.name, options, snapshot.layout, promise);
    return await exportAs(snapshot, to, options);
  } catch (error) {
    if (!isSnapshotError(error, "SNAPSHOT_EXISTS")) throw error;
    const { path } = readAddress(target);
    const suffix = suffixOf(basename(path ?? ""));
    if (path === undefined || suffix === undefined || (await nodeFileSystem.stat(path))?.kind !== "file") {
      const message = `${error.message}; --force replaces files only, so remove it first`;
      throw new SnapshotError("SNAPSHOT_EXISTS", force ? message : error.message, error.details, { cause: error });
    }
    if (!force) {
      const message = `Cannot export to ${
        showAddress(target)
      }: the file exists; replace it with --force, or choose another name`;
      throw new SnapshotError("SNAPSHOT_EXISTS", message, error.details, { cause: error });
    }
    return await replaceFile(snapshot, path, suffix, options);
  }
}

/** Writes a new file beside the old one and renames it: the old one stays until the new one is complete. */
async function replaceFile(
  snapshot: SnapshotLocator,
  path: string,
  suffix: string,
  options: ExportOptions,
): Promise<SnapshotLocator> {
  const stem = basename(path).slice(0, -suffix.length) || "snapshot";
  const fresh = join(dirname(path), `${stem}.${crypto.randomUUID().slice(0, 8)}${suffix}`);
  const copy = await snapshot.exportTo(fresh, options);
  try {
    await nodeFileSystem.rename(fresh, path);
    await nodeFileSystem.syncFolder(dirname(path));
  } catch (error) {
    await copy.remove();
    throw error;
  }
  return locate(path);
}
