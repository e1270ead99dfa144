// What a command is, and what it works with. Commands know neither the parser nor the process.
import { nodeFileSystem } from "../file/node_file_system.ts";
import { readAddress, showAddress } from "../model/address.ts";
import { suffixOf } from "../model/unit.ts";
import { isS3Url } from "../s3/address.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import { placeAt, type S3Promise } from "../snapshot/place.ts";
import { StateStore } from "../store/state_store.ts";
import { type ExitCode, UsageError } from "./exit_code.ts";
import type { Output } from "./output.ts";
import { resolveSnapshot } from "./resolve.ts";

/** An option of a command. */
export interface CommandOption {
  /** As the parser writes it, such as `-o, --output <file>`. */
  readonly flags: string;
  /** What it does. */
  readonly about: string;
  /** Reads a value; options that may be repeated get what was read before. */
  readonly read?: (text: string, before: unknown) => unknown;
}

/** A command. */
export interface Command {
  /** What it is called. */
  readonly name: string;
  /** Under which heading `--help` lists it. */
  readonly group: "Look" | "Move" | "Keep";
  /** What it does, in one sentence. */
  readonly summary: string;
  /** What else its `--help` says. */
  readonly details?: string;
  /** Its arguments, such as `<snapshot>` or `[snapshot...]`, each with what it means. */
  readonly args: readonly (readonly [name: string, about: string])[];
  /** Its options. */
  readonly options: readonly CommandOption[];
  /** Command lines with what they do. */
  readonly examples: readonly (readonly [line: string, about: string])[];
  /** Runs it. */
  readonly run: (context: Context, args: readonly unknown[], options: never) => Promise<ExitCode | void>;
}

/** What every command is given. */
export interface GlobalOptions {
  /** Where the snapshots lie. */
  readonly store?: string;
  /** Whether results are JSON. */
  readonly json?: boolean;
  /** Format of snapshot names. */
  readonly nameFormat?: string;
  /** Whether one program writes at a time to each object store. */
  readonly withoutConditions?: boolean;
}

/** What a command works with. */
export class Context {
  /** Where results and messages go. */
  readonly output: Output;
  /** Aborts the command. */
  readonly signal: AbortSignal;
  readonly #options: GlobalOptions;

  constructor(output: Output, signal: AbortSignal, options: GlobalOptions) {
    this.output = output;
    this.signal = signal;
    this.#options = options;
  }

  /** What the operator promises about object stores. */
  get promise(): S3Promise {
    return { withoutConditions: this.#options.withoutConditions === true };
  }

  /** Whether a store was named. */
  get hasStore(): boolean {
    return Boolean(this.#options.store); // an empty SNAPKEEP_STORE names none
  }

  /**
   * Returns the store that the command line names: a folder, or a prefix on an object store, which is not asked yet.
   *
   * @param options Name of the program whose snapshots may be removed; whether the folder may be missing.
   * @throws {UsageError} If none is named, or there is no such folder.
   */
  async store(options: { readonly program?: string; readonly mayBeMissing?: boolean } = {}): Promise<StateStore> {
    const { store = "" } = this.#options;
    if (store === "") {
      throw new UsageError("no store is named; say where the snapshots lie with -s <folder> or SNAPKEEP_STORE");
    }
    return await this.storeAt(store, options);
  }

  /** Returns the store at a place. */
  async storeAt(
    where: string,
    { program, mayBeMissing = false }: { readonly program?: string; readonly mayBeMissing?: boolean } = {},
  ): Promise<StateStore> {
    const { path, url, shown } = readAddress(where);
    if (path !== undefined) await assertFolder(path, mayBeMissing);
    else assertObjectStore(url, shown);
    const { nameFormat } = this.#options;
    return new StateStore(path ?? placeAt(where, undefined, this.promise), {
      ...program === undefined ? {} : { program },
      ...nameFormat === undefined ? {} : { stateNameFormat: nameFormat },
    });
  }

  /** Returns the snapshot that a text names. */
  async snapshot(text: string): Promise<SnapshotLocator> {
    return await resolveSnapshot(text, this.promise, this.hasStore ? () => this.store() : undefined);
  }
}

async function assertFolder(path: string, mayBeMissing: boolean): Promise<void> {
  const kind = (await nodeFileSystem.stat(path, true))?.kind;
  if (kind === undefined && !mayBeMissing) throw new UsageError(`there is no folder "${path}"`);
  if (kind !== undefined && kind !== "folder") {
    const hint = mayBeMissing ? "" : "; name it in place of <snapshot>";
    throw new UsageError(`"${path}" is a ${kind}, not a folder of snapshots${hint}`);
  }
}

function assertObjectStore(url: URL | undefined, shown: string): void {
  if (url === undefined || !isS3Url(url)) {
    throw new UsageError(
      `${showAddress(shown)} is neither a folder nor an s3:// URL; name a snapshot at a URL in place of <snapshot>`,
    );
  }
  if (suffixOf(url.pathname.replace(/\/$/, "")) === undefined) return;
  throw new UsageError(`${showAddress(shown)} is an archive, not a place of snapshots; name it in place of <snapshot>`);
}

/** Whether a path leads to something. */
export async function isThere(path: string): Promise<boolean> {
  return await nodeFileSystem.stat(path, true) !== undefined;
}
