// Open files by their descriptors: small calls need no thread pool while the disk is prompt, and nothing is left for the collector,
// which Node does with each closed FileHandle at full collections only.
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
  close(): Promise<void>;
}

type Done<T> = (error: Error | null, result: T) => void;

/** Makes a call that goes through the thread pool. */
export function throughPool<T>(call: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => call((error, result) => error ? reject(error) : resolve(result)));
}

/** Opens a file; as `open` of node:fs/promises does. */
export async function openHandle(path: string, flags: string | number, mode?: number): Promise<Handle> {
  // Node's permission model allows the sync of a FileHandle, and none of a descriptor.
  if ("permission" in process && process.permission) return await open(path, flags, mode) as Handle;
  return new Descriptor(
    await promptness.create(
      () => openSync(path, flags, mode),
      () => throughPool<number>((done) => openThroughPool(path, flags, mode, done)),
    ),
  );
}

/** As a FileHandle: closing waits for what is under way, as the number may be another file's right after. */
class Descriptor implements Handle {
  #fd: number;
  #running = 0;
  #onIdle = () => {};

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
    return this.#run<void>((fd, done) => fchmod(fd, mode, done as Done<void> & ((error: Error | null) => void)));
  }

  sync(): Promise<void> {
    return promptness.sync(() =>
      this.#run<void>((fd, done) => fsync(fd, done as Done<void> & ((error: Error | null) => void)))
    );
  }

  async close(): Promise<void> {
    const fd = this.#fd;
    if (fd === CLOSED) return;
    this.#fd = CLOSED;
    if (this.#running > 0) await new Promise<void>((resolve) => this.#onIdle = resolve);
    await promptness.call(
      () => closeSync(fd),
      () => throughPool<void>((done) => close(fd, done as Done<void> & ((error?: Error | null) => void))),
    );
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
