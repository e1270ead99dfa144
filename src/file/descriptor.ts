// Open files by their descriptors: small calls need no thread pool while the disk is prompt, and nothing is left for the collector,
// whereas Node frees a closed FileHandle at full collections only.
import {
  type BigIntStats,
  close,
  closeSync,
  fchmod,
  fstat,
  fsync,
  open as openThroughPool,
  openSync,
  read,
  type Stats,
  write,
} from "node:fs";
import { open } from "node:fs/promises";
import process from "node:process";
import { promptness } from "./promptness.ts";

const CLOSED = -1;

/** What is used of a `FileHandle`. */
export interface Handle {
  /** The descriptor; below zero once it is closed. */
  readonly fd: number;
  read(
    target: Uint8Array,
    offset: number,
    lengthBytes: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>;
  write(
    bytes: Uint8Array,
    offset: number,
    lengthBytes: number,
    position: number | null,
  ): Promise<{ readonly bytesWritten: number }>;
  stat(): Promise<Stats>;
  stat(options: { readonly bigint: true }): Promise<BigIntStats>;
  chmod(mode: number): Promise<void>;
  sync(): Promise<void>;
  /** Closes it; what is quick to close may be closed without waiting. */
  close(isQuick?: boolean): Promise<void>;
}

/** How a file is opened. */
export interface OpenHandleOptions {
  /** Its rights, if it is created. */
  readonly mode?: number | undefined;
  /**
   * Whether its folder was used before, so that it lies on no mount that hangs: it may be opened without waiting.
   *
   * @default false
   */
  readonly isKnown?: boolean;
}

type Done<T> = (error?: Error | null, result?: T) => void;

/** Makes a call through the thread pool. */
export function throughPool<T>(call: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => call((error, result) => error ? reject(error) : resolve(result as T)));
}

/** Opens a file; as `open` of node:fs/promises does. */
export async function openHandle(
  path: string,
  flags: string | number,
  { mode, isKnown = false }: OpenHandleOptions = {},
): Promise<Handle> {
  // Node's permission model allows the sync of a FileHandle, and none of a descriptor.
  if ("permission" in process && process.permission) return await open(path, flags, mode) as Handle;
  const later = () => throughPool<number>((done) => openThroughPool(path, flags, mode, done));
  const now = () => openSync(path, flags, mode);
  return new Descriptor(await (isKnown ? promptness.create(now, later) : later()));
}

/** As a FileHandle: closing waits for what is under way, as the number may be another file's right after. */
export class Descriptor implements Handle {
  #fd: number;
  #running = 0;
  #onIdle = () => {};
  #closing: Promise<void> | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  get fd(): number {
    return this.#fd;
  }

  async read(
    target: Uint8Array,
    offset: number,
    lengthBytes: number,
    position: number,
  ): Promise<{ bytesRead: number }> {
    return { bytesRead: await this.#run<number>((fd, done) => read(fd, target, offset, lengthBytes, position, done)) };
  }

  async write(
    bytes: Uint8Array,
    offset: number,
    lengthBytes: number,
    position: number | null,
  ): Promise<{ bytesWritten: number }> {
    return {
      bytesWritten: await this.#run<number>((fd, done) => write(fd, bytes, offset, lengthBytes, position, done)),
    };
  }

  stat(): Promise<Stats>;
  stat(options: { readonly bigint: true }): Promise<BigIntStats>;
  stat({ bigint = false } = {}): Promise<Stats | BigIntStats> {
    return this.#run<Stats | BigIntStats>((fd, done) => fstat(fd, { bigint }, done));
  }

  chmod(mode: number): Promise<void> {
    return this.#run<void>((fd, done) => fchmod(fd, mode, done));
  }

  sync(): Promise<void> {
    return promptness.sync(() => this.#run<void>((fd, done) => fsync(fd, done)));
  }

  close(isQuick = false): Promise<void> {
    return this.#closing ??= this.#close(isQuick);
  }

  /** Closes it before it returns, unless something is under way. */
  closeNow(): void {
    if (this.#fd === CLOSED) return;
    if (this.#running > 0) return void this.close().catch(() => {}); // no caller waits for it
    const fd = this.#fd;
    this.#fd = CLOSED;
    closeSync(fd);
  }

  async #close(isQuick: boolean): Promise<void> {
    const fd = this.#fd;
    if (fd === CLOSED) return;
    this.#fd = CLOSED;
    if (this.#running > 0) await new Promise<void>((resolve) => this.#onIdle = resolve);
    const later = () => throughPool<void>((done) => close(fd, done));
    await (isQuick ? promptness.call(() => closeSync(fd), later) : later());
  }

  async #run<T>(call: (fd: number, done: Done<T>) => void): Promise<T> {
    this.#running++;
    try {
      return await throughPool<T>((done) => call(this.#fd, done));
    } finally {
      if (--this.#running === 0) this.#onIdle();
    }
  }
}
