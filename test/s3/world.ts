// What tests on the object store share: a proxy in front of it, a place of its own for each test, and looks past the backend.
import { ListMultipartUploadsCommand, ListObjectsV2Command, PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import type { Backend } from "snapkeep";
import { type S3Backend, s3Backend, type S3Options } from "snapkeep/s3";
import { afterAll, afterEach, beforeAll, beforeEach, vi } from "vitest";
import { type FaultProxy, faultProxy, type SeenRequest } from "./fault_proxy.ts";
import { bareClient, endpoint, hasObjectStore, newPlace, type Place, whereIs } from "./object_store.ts";

export const MIB = 1024 * 1024;
export const UNIT = "2026-01-02.state/";
export const BLOB = "2026-01-03.state.tar.gz";

export interface World {
  /** Reaches the store past the proxy. */
  readonly client: S3Client;
  readonly proxy: FaultProxy;
  /** The place of the test, reached past the proxy. */
  readonly place: Place;
  /** A new backend on the place of the test, through the proxy. */
  backend(options?: Partial<S3Options>): S3Backend;
  /** Puts an object of the place. */
  put(key: string, body?: string | Uint8Array): Promise<void>;
  /** All keys and uploads of a place, as the store has them. */
  raw(url?: string): Promise<{ keys: string[]; uploads: number }>;
}

/** The world of a file, which its tests use one after the other; their proxy does nothing at the beginning of each. */
export function world(): World {
  let client: S3Client;
  let proxy: FaultProxy;
  let place: Place;
  afterEach(() => vi.restoreAllMocks());
  if (hasObjectStore) {
    beforeAll(async () => {
      client = bareClient();
      proxy = await faultProxy(endpoint, client);
    });
    beforeEach(() => {
      place = newPlace();
      proxy.take();
    });
    afterEach(() => proxy.plan(() => undefined));
    afterAll(async () => {
      await proxy.close();
      client.destroy();
    });
  }
  return {
    get client() {
      return client;
    },
    get proxy() {
      return proxy;
    },
    get place() {
      return place;
    },
    backend: (options = {}) => s3Backend({ ...place, endpoint: proxy.endpoint, ...options }),
    async put(key, body = "x") {
      const { Bucket, prefix } = whereIs(place);
      await client.send(new PutObjectCommand({ Bucket, Key: prefix + key, Body: body }));
    },
    async raw(url = place.url) {
      const { Bucket, prefix } = whereIs({ url });
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket, Prefix: prefix }));
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: prefix }));
      return { keys: Contents.map(({ Key = "" }) => Key.slice(prefix.length)), uploads: Uploads.length };
    },
  };
}

export const text = (bytes: string): Uint8Array[] => [new TextEncoder().encode(bytes)];

/** Bytes that do not compress. */
export function noise(sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let offset = 0; offset < sizeBytes; offset += 65_536) {
    crypto.getRandomValues(bytes.subarray(offset, offset + 65_536));
  }
  return bytes;
}

export async function unitsOf(backend: Backend): Promise<string[]> {
  const units: string[] = [];
  for await (const unit of backend.list()) units.push(unit);
  return units;
}

/** The error of what must fail; `undefined` where it does not. */
export async function failure(work: Promise<unknown>): Promise<unknown> {
  return await work.then(() => undefined, (error: unknown) => error);
}

/** Whether a request commits a group. */
export const isManifest = ({ method, target }: SeenRequest): boolean =>
  method === "PUT" && target.includes("/manifest.json");

/** Whether a request ends an upload in parts. */
export const isCompletion = ({ method, target }: SeenRequest): boolean =>
  method === "POST" && target.includes("uploadId=");

/** Saves a group of two blobs. */
export async function saveGroup(backend: Backend, unit = UNIT): Promise<void> {
  const stage = await backend.stage(unit);
  try {
    await stage.write("a/x", text("x"));
    await stage.publish("manifest.json", text("commit"));
  } catch (error) {
    await stage.abandon();
    throw error;
  }
}

/** Saves one blob of some size. */
export async function saveBlob(backend: Backend, sizeBytes: number, unit = BLOB): Promise<void> {
  const stage = await backend.stage(unit);
  try {
    await stage.publish("", [new Uint8Array(sizeBytes).fill(7)]);
  } catch (error) {
    await stage.abandon();
    throw error;
  }
}

/** Shortens the pauses of the client between two attempts, until the end of the test; its time limits stay. */
export function hurryRetries(): void {
  const { setTimeout: real } = globalThis;
  const hurried = (callback: () => void, ms = 0, ...args: []) => real(callback, ms < 5000 ? ms / 50 : ms, ...args);
  vi.spyOn(globalThis, "setTimeout").mockImplementation(hurried as typeof setTimeout);
}
