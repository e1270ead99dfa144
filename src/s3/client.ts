// What snapkeep asks of an object store, on top of its client. The only file that knows @aws-sdk/client-s3, which is imported
// with the first request. The client retries with back-off; bodies that break off are asked for again here.
import { setMaxListeners } from "node:events";
import type * as Sdk from "@aws-sdk/client-s3";
import { clearTimeout, setTimeout } from "../runtime/clock.ts";
import { showAddress } from "../model/address.ts";
import { SnapshotError } from "../model/errors.ts";
import { areCredentials, endpointOf, type S3Address, type S3Credentials } from "./address.ts";
import { faultOf, isMissing, storeError, StoreFault } from "./faults.ts";
import { PartMemory } from "./part_memory.ts";

const MOST_ATTEMPTS = 5;
const MOST_BREAKS = 4;
/** How many parts of an upload are sent at a time. */
export const PARTS_IN_FLIGHT = 4;
const CONNECTION_MS = 10_000;
const DELETED_AT_ONCE = 1000;
const PACKAGE = "@aws-sdk/client-s3";
// Stores that are not AWS mostly have no regions, and take this one.
const REGION_OF_OTHERS = "us-east-1";
// Some stores hand metadata back with dashes.
const WRITE_ID = "snapkeep_write_id";

/** What is known of an object. */
export interface ObjectInfo {
  readonly sizeBytes: number;
  readonly etag: string;
  /** The id that its writer stamped it with. */
  readonly writeId: string | undefined;
  /** How long ago it was written, by the clock of the store. */
  readonly ageMs: number;
}

/** A part of an object. */
export interface ObjectPart extends ObjectInfo {
  readonly offset: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** An object as listed. */
export interface ListedObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly ageMs: number;
}

/** A page of a listing. */
interface Page {
  readonly objects: ListedObject[];
  /** What keys have in common up to a slash, if the listing is of groups. */
  readonly groups: string[];
  /** The cursor of the next page; `undefined` on the last one. */
  readonly next: string | undefined;
}

interface PageOptions {
  readonly isGrouped?: boolean;
  readonly mostKeys?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Which bytes of an object: some at an offset, or some at its end. */
export type Range = { readonly offset: number; readonly lengthBytes: number } | { readonly tailBytes: number };

/** A condition of a write: nothing may be there, or exactly this. */
export type Condition = { readonly ifNoneMatch: "*" } | { readonly ifMatch: string };

/** How an object is put. */
export interface PutOptions {
  readonly condition?: Condition | undefined;
  readonly writeId?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A finished part of an upload. */
export interface UploadedPart {
  readonly number: number;
  readonly etag: string;
}

/** The stream of Node that a body is on all three runtimes. */
interface BodyStream {
  on(event: "data", listener: (chunk: Uint8Array) => void): void;
  on(event: "error", listener: (error: unknown) => void): void;
  on(event: "end" | "close", listener: () => void): void;
  destroy(error?: Error): void;
}

/** The objects of one bucket below one prefix; keys are relative to the prefix. */
export class ObjectStore {
  readonly address: S3Address;
  /** Memory for parts, of which an upload holds one more than are sent at a time. */
  readonly partMemory: PartMemory = new PartMemory(PARTS_IN_FLIGHT + 1);
  #loading: Promise<{ sdk: typeof Sdk; client: Sdk.S3Client }> | undefined;
  #deletesOneByOne = false;

  constructor(address: S3Address) {
    this.address = address;
  }

  /** Address of an object, for messages. */
  uriOf(key: string): string {
    return this.address.uri + key.split("/").map(encodeURIComponent).join("/");
  }

  /** Puts an object; a condition that does not hold fails with the status 412. */
  async put(key: string, body: Uint8Array, options: PutOptions = {}): Promise<string> {
    const { ETag } = await this.#send<Sdk.PutObjectCommandOutput>("put", key, (sdk) =>
      new sdk.PutObjectCommand({
        ...this.#at(key),
        Body: body,
        ...conditionOf(options.condition),
        ...stamp(options.writeId),
      }), options.signal);
    return ETag ?? "";
  }

  /** What is known of an object; `undefined` where there is none. */
  async head(key: string): Promise<ObjectInfo | undefined> {
    return await unlessMissing(async () => {
      const answer = await this.#send<Sdk.HeadObjectCommandOutput>(
        "look at",
        key,
        (sdk) => new sdk.HeadObjectCommand(this.#at(key)),
      );
      return this.#infoOf(key, answer, answer.ContentLength);
    });
  }

  /**
   * Reads a part of an object, fewer bytes where it ends; `undefined` where there is none. Fails with the status 412 where it is
   * another than `etag`.
   */
  async get(
    key: string,
    range: Range,
    { etag, signal }: { readonly etag?: string | undefined; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<ObjectPart | undefined> {
    return await unlessMissing(async () => {
      for (let breaks = 0;; breaks++) {
        try {
          return await this.#getOnce(key, range, etag, signal);
        } catch (error) {
          if (breaks >= MOST_BREAKS || !isBroken(error)) throw error;
          await pause(breaks, signal);
        }
      }
    });
  }

  async #getOnce(
    key: string,
    range: Range,
    etag: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<ObjectPart> {
    const asked = "tailBytes" in range
      ? `bytes=-${range.tailBytes}`
      : `bytes=${range.offset}-${range.offset + range.lengthBytes - 1}`;
    let answer: Sdk.GetObjectCommandOutput & { readonly nowMs: number };
    try {
      answer = await this.#send<Sdk.GetObjectCommandOutput>(
        "read",
        key,
        (sdk) =>
          new sdk.GetObjectCommand({ ...this.#at(key), Range: asked, ...etag === undefined ? {} : { IfMatch: etag } }),
        signal,
      );
    } catch (error) {
      // Where an object ends, or an empty one.
      if ((error as { cause?: { status?: number } }).cause?.status !== 416) throw error;
      const info = await this.head(key);
      if (info === undefined) throw error;
      return { ...info, offset: info.sizeBytes, bytes: new Uint8Array() };
    }
    const place = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(answer.ContentRange ?? "");
    const [offset, end, sizeBytes] = place === null
      ? [0, answer.ContentLength ?? -1, answer.ContentLength]
      : [Number(place[1]), Number(place[2]) + 1, Number(place[3])];
    const info = this.#infoOf(key, answer, sizeBytes);
    const first = "tailBytes" in range ? Math.max(0, info.sizeBytes - range.tailBytes) : range.offset;
    const last = "tailBytes" in range ? info.sizeBytes : Math.min(info.sizeBytes, range.offset + range.lengthBytes);
    if (offset !== first || end !== last) {
      (answer.Body as { destroy?(): void } | undefined)?.destroy?.();
      throw this.#failed("read", key, "RangeWrong", `the store answered another range than ${asked}`);
    }
    return { ...info, offset, bytes: await this.#bodyOf(key, answer.Body, end - offset, signal) };
  }

  async #bodyOf(
    key: string,
    body: unknown,
    lengthBytes: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const stream = body as BodyStream;
    const bytes = new Uint8Array(lengthBytes);
    const { idleMs } = this.address;
    const idle = setTimeout(() => stream.destroy(new StoreFault("TimeoutError", undefined, slow(idleMs))), idleMs);
    idle.unref();
    const onAbort = () => stream.destroy(new StoreFault("AbortError", undefined, "it was aborted"));
    signal?.addEventListener("abort", onAbort);
    let doneBytes = 0;
    try {
      signal?.throwIfAborted();
      // By events: iterating a stream of Node costs a promise a chunk.
      await new Promise<void>((resolve, reject) => {
        stream.on("data", (chunk) => {
          idle.refresh();
          if (doneBytes + chunk.length > lengthBytes) return stream.destroy(new Error("more bytes came"));
          bytes.set(chunk, doneBytes);
          doneBytes += chunk.length;
        });
        stream.on("error", reject);
        stream.on("end", () => resolve());
        stream.on("close", () => resolve());
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw storeError("read", this.uriOf(key), broken(error));
    } finally {
      clearTimeout(idle);
      signal?.removeEventListener("abort", onAbort);
    }
    if (doneBytes === lengthBytes) return bytes;
    throw storeError("read", this.uriOf(key), broken(new Error(`${doneBytes} of ${lengthBytes} bytes came`)));
  }

  /**
   * One page of a listing, in the order of the keys' UTF-8.
   *
   * @param prefix What the keys begin with.
   * @param cursor Where the page begins: after this key, or, of groups, at `next` of the page before.
   * @param options Whether keys below a slash are listed as their group alone; how many at most.
   */
  async page(prefix: string, cursor: string | undefined, options: PageOptions = {}): Promise<Page> {
    const { prefix: root, bucket } = this.address;
    const { isGrouped = false, mostKeys, signal } = options;
    const answer = await this.#send<Sdk.ListObjectsV2CommandOutput>(
      "list",
      prefix,
      (sdk) =>
        new sdk.ListObjectsV2Command({
          Bucket: bucket,
          Prefix: root + prefix,
          EncodingType: "url",
          ...isGrouped ? { Delimiter: "/" } : {},
          ...cursor === undefined ? {} : isGrouped ? { ContinuationToken: cursor } : { StartAfter: root + cursor },
          ...mostKeys === undefined ? {} : { MaxKeys: mostKeys },
        }),
      signal,
    );
    const invalid = (reason: string) => this.#failed("list", prefix, "ListingInvalid", `its listing ${reason}`);
    const keyOf = (text = ""): string => {
      const key = answer.EncodingType === "url" ? decoded(text) : text;
      if (key?.startsWith(root + prefix) !== true) throw invalid("has a key that cannot be");
      return key.slice(root.length);
    };
    const objects = (answer.Contents ?? []).map(({ Key, Size, ETag = "", LastModified }): ListedObject => {
      if (!isSize(Size)) throw invalid("has a size that cannot be");
      return { key: keyOf(Key), sizeBytes: Size, etag: ETag, ageMs: ageOf(LastModified, answer.nowMs) };
    });
    const groups = (answer.CommonPrefixes ?? []).map(({ Prefix }) => keyOf(Prefix));
    if (answer.IsTruncated !== true) return { objects, groups, next: undefined };
    const next = isGrouped ? answer.NextContinuationToken : objects.at(-1)?.key;
    // A store that repeats itself would be listed without end.
    if (next === undefined || next === cursor) throw invalid("does not go on");
    return { objects, groups, next };
  }

  /** All objects whose keys begin with `prefix`. */
  async *list(prefix: string): AsyncGenerator<ListedObject, void> {
    for await (const { objects } of this.#pages(prefix)) yield* objects;
  }

  /** What keys begin with up to their first slash, each once: the folders that people see. */
  async *groups(): AsyncGenerator<string, void> {
    for await (const { groups } of this.#pages("", { isGrouped: true })) yield* groups;
  }

  async *#pages(prefix: string, options?: PageOptions): AsyncGenerator<Page, void> {
    let cursor: string | undefined;
    do {
      const page = await this.page(prefix, cursor, options);
      yield page;
      cursor = page.next;
    } while (cursor !== undefined);
  }

  /** Deletes an object; succeeds where there is none. With `etag`, fails with the status 412 where it is another. */
  async delete(key: string, etag?: string): Promise<void> {
    await this.#send<Sdk.DeleteObjectCommandOutput>(
      "delete",
      key,
      (sdk) => new sdk.DeleteObjectCommand({ ...this.#at(key), ...etag === undefined ? {} : { IfMatch: etag } }),
    );
  }

  /** Deletes many objects. */
  async deleteAll(keys: readonly string[]): Promise<void> {
    for (let start = 0; start < keys.length; start += DELETED_AT_ONCE) {
      await this.#deleteSome(keys.slice(start, start + DELETED_AT_ONCE));
    }
  }

  async #deleteSome(keys: readonly string[]): Promise<void> {
    const { bucket, prefix } = this.address;
    if (keys.length > 1 && !this.#deletesOneByOne) {
      try {
        const answer = await this.#send<Sdk.DeleteObjectsCommandOutput>(
          "delete",
          keys[0] as string,
          (sdk) =>
            new sdk.DeleteObjectsCommand({
              Bucket: bucket,
              Delete: { Objects: keys.map((key) => ({ Key: prefix + key })), Quiet: true },
            }),
        );
        const [failed] = answer.Errors ?? [];
        if (failed === undefined) return;
      } catch (error) {
        const { status = 0 } = (error as { cause?: { status?: number } }).cause ?? {};
        if (![400, 405, 501].includes(status)) throw error;
        this.#deletesOneByOne = true; // no such request here, or other checksums
      }
    }
    for (const key of keys) await this.delete(key); // tells what is wrong
  }

  /** Starts an upload in parts. If an answer is lost, the client or the runtime starts a second one. */
  async createUpload(key: string, writeId: string, signal?: AbortSignal): Promise<string> {
    const { UploadId } = await this.#send<Sdk.CreateMultipartUploadCommandOutput>(
      "upload",
      key,
      (sdk) => new sdk.CreateMultipartUploadCommand({ ...this.#at(key), ...stamp(writeId) }),
      signal,
    );
    if (UploadId === undefined) {
      throw this.#failed("upload", key, "UploadInvalid", "the store gave no id of the upload");
    }
    return UploadId;
  }

  /** Uploads one part. */
  async uploadPart(
    key: string,
    uploadId: string,
    number: number,
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<UploadedPart> {
    const { ETag } = await this.#send<Sdk.UploadPartCommandOutput>(
      "upload",
      key,
      (sdk) => new sdk.UploadPartCommand({ ...this.#at(key), UploadId: uploadId, PartNumber: number, Body: body }),
      signal,
    );
    if (ETag === undefined) throw this.#failed("upload", key, "UploadInvalid", "the store gave no ETag of a part");
    return { number, etag: ETag };
  }

  /** Makes an object of the parts. */
  async completeUpload(
    key: string,
    uploadId: string,
    parts: readonly UploadedPart[],
    condition?: Condition,
  ): Promise<void> {
    await this.#send<Sdk.CompleteMultipartUploadCommandOutput>(
      "commit",
      key,
      (sdk) =>
        new sdk.CompleteMultipartUploadCommand({
          ...this.#at(key),
          UploadId: uploadId,
          MultipartUpload: { Parts: parts.map(({ number, etag }) => ({ PartNumber: number, ETag: etag })) },
          ...conditionOf(condition),
        }),
    );
  }

  /** Gives the parts of an upload back; succeeds where there is none. */
  async abortUpload(key: string, uploadId: string): Promise<void> {
    await unlessMissing(() =>
      this.#send<Sdk.AbortMultipartUploadCommandOutput>(
        "abort the upload of",
        key,
        (sdk) => new sdk.AbortMultipartUploadCommand({ ...this.#at(key), UploadId: uploadId }),
      )
    );
  }

  /** Whether an upload still has parts. */
  async hasParts(key: string, uploadId: string): Promise<boolean> {
    const answer = await unlessMissing(() =>
      this.#send<Sdk.ListPartsCommandOutput>(
        "look at the upload of",
        key,
        (sdk) => new sdk.ListPartsCommand({ ...this.#at(key), UploadId: uploadId, MaxParts: 1 }),
      )
    );
    return (answer?.Parts ?? []).length > 0;
  }

  /** Uploads that were begun and not ended, of keys that begin with `prefix`. */
  async uploads(prefix: string): Promise<{ key: string; uploadId: string }[]> {
    const { prefix: root, bucket } = this.address;
    const found: { key: string; uploadId: string }[] = [];
    let next: { KeyMarker: string; UploadIdMarker: string } | undefined;
    while (true) {
      // Without an encoding: Ceph does not say whether it has used it. Keys of units have no character that needs it.
      const answer = await this.#send<Sdk.ListMultipartUploadsCommandOutput>(
        "list the uploads of",
        prefix,
        (sdk) => new sdk.ListMultipartUploadsCommand({ Bucket: bucket, Prefix: root + prefix, ...next }),
      );
      for (const { Key = "", UploadId = "" } of answer.Uploads ?? []) {
        if (Key.startsWith(root + prefix)) found.push({ key: Key.slice(root.length), uploadId: UploadId });
      }
      if (answer.IsTruncated !== true) return found;
      const { NextKeyMarker = "", NextUploadIdMarker = "" } = answer;
      if (next?.KeyMarker === NextKeyMarker && next.UploadIdMarker === NextUploadIdMarker) {
        throw this.#failed("list the uploads of", prefix, "ListingInvalid", "its listing does not go on");
      }
      next = { KeyMarker: NextKeyMarker, UploadIdMarker: NextUploadIdMarker };
    }
  }

  #at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.address.bucket, Key: this.address.prefix + key };
  }

  #infoOf(
    key: string,
    answer: {
      readonly ETag?: string | undefined;
      readonly Metadata?: Record<string, string> | undefined;
      readonly LastModified?: Date | undefined;
      readonly nowMs: number;
    },
    sizeBytes: unknown,
  ): ObjectInfo {
    if (!isSize(sizeBytes)) throw this.#failed("read", key, "SizeInvalid", "the store gave no size of the object");
    const stamped = Object.entries(answer.Metadata ?? {}).find(([name]) => name.replaceAll("-", "_") === WRITE_ID);
    return {
      sizeBytes,
      etag: answer.ETag ?? "",
      writeId: stamped?.[1],
      ageMs: ageOf(answer.LastModified, answer.nowMs),
    };
  }

  #failed(operation: string, key: string, code: string, reason: string): SnapshotError {
    return storeError(operation, this.uriOf(key), new StoreFault(code, 200, reason));
  }

  /** Sends a request; gives its answer with the time that the store said it was. */
  async #send<Output extends object>(
    operation: string,
    key: string,
    command: (sdk: typeof Sdk) => unknown,
    signal?: AbortSignal,
  ): Promise<Output & { readonly nowMs: number }> {
    const { sdk, client } = await (this.#loading ??= this.#load().catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    }));
    signal?.throwIfAborted();
    try {
      const sent = command(sdk) as Parameters<Sdk.S3Client["send"]>[0];
      let date: string | undefined;
      sent.middlewareStack.add(
        (next) => async (args) => {
          const result = await next(args);
          date = (result.response as { headers?: Record<string, string> } | undefined)?.headers?.["date"];
          return result;
        },
        { step: "deserialize", priority: "high" },
      );
      const answer = await client.send(sent, signal === undefined ? {} : { abortSignal: signal });
      const toldMs = Date.parse(date ?? "");
      return Object.assign(answer as object as Output, { nowMs: Number.isNaN(toldMs) ? Date.now() : toldMs });
    } catch (error) {
      signal?.throwIfAborted();
      throw storeError(operation, this.uriOf(key), faultOf(error));
    }
  }

  async #load(): Promise<{ sdk: typeof Sdk; client: Sdk.S3Client }> {
    const { uri, credentials, idleMs } = this.address;
    const sdk = await import("@aws-sdk/client-s3").catch((cause: unknown) => {
      const reason = `the package ${PACKAGE} cannot be imported; run \`npm install ${PACKAGE}\``;
      throw new SnapshotError("PACKAGE_MISSING", `Cannot use ${showAddress(uri)}: ${reason}`, { package: PACKAGE }, {
        cause,
      });
    });
    const { endpoint, region } = await this.#configured(sdk);
    const client = new sdk.S3Client({
      ...endpoint === undefined ? {} : { endpoint, forcePathStyle: true },
      ...region === undefined ? {} : { region },
      ...credentials === undefined
        ? {}
        : { credentials: typeof credentials === "function" ? () => givenBy(credentials) : credentials },
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      maxAttempts: MOST_ATTEMPTS,
      requestHandler: { connectionTimeout: CONNECTION_MS, socketTimeout: idleMs },
    });
    return { sdk, client };
  }

  /** Endpoint and region as given, else as the files of the AWS configuration say. */
  async #configured(sdk: typeof Sdk): Promise<Pick<S3Address, "endpoint" | "region">> {
    const { uri, endpoint: given, region } = this.address;
    if (given !== undefined && region !== undefined) return { endpoint: given, region };
    const { config } = new sdk.S3Client({}); // which sends nothing
    const endpoint = given ?? endpointOf(await config.serviceConfiguredEndpoint?.(), uri);
    if (endpoint === undefined) return { endpoint, region };
    return { endpoint, region: region ?? await config.region().catch(() => REGION_OF_OTHERS) };
  }
}

/** A controller whose signal more requests listen to than the runtime thinks usual. */
export function sharedController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

/** The credentials that a caller's function returns. Nothing of what it throws or returns goes into an error: it may be secret. */
async function givenBy(credentials: () => Promise<S3Credentials>): Promise<S3Credentials> {
  let given: unknown;
  try {
    given = await credentials();
  } catch {
    throw new StoreFault("CredentialsProviderError", undefined, "the function credentials failed");
  }
  if (areCredentials(given)) return given;
  const reason = "the function credentials returned no { accessKeyId, secretAccessKey }";
  throw new StoreFault("CredentialsProviderError", undefined, reason);
}

/** Waits before something is tried again: longer each time, and not for the same time as others. */
export async function pause(attempt: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  const delayMs = Math.min(2_000, 50 * 2 ** attempt) * (0.5 + Math.random() / 2);
  await new Promise((resolve) => setTimeout(resolve, delayMs));
  signal?.throwIfAborted();
}

async function unlessMissing<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function conditionOf(condition: Condition | undefined): { IfNoneMatch?: string; IfMatch?: string } {
  if (condition === undefined) return {};
  return "ifMatch" in condition ? { IfMatch: condition.ifMatch } : { IfNoneMatch: condition.ifNoneMatch };
}

function stamp(writeId: string | undefined): { Metadata?: Record<string, string> } {
  return writeId === undefined ? {} : { Metadata: { [WRITE_ID]: writeId } };
}

const BROKEN = "BodyBroken";

function broken(error: unknown): StoreFault {
  const { code, message } = faultOf(error);
  return new StoreFault(BROKEN, undefined, `its answer broke off (${code}): ${message}`);
}

function isBroken(error: unknown): boolean {
  return (error as { cause?: { code?: unknown } }).cause?.code === BROKEN;
}

function slow(idleMs: number): string {
  return `the store sent nothing for ${idleMs} ms`;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function ageOf(written: Date | undefined, nowMs: number): number {
  const ageMs = nowMs - (written?.getTime() ?? NaN);
  return Number.isNaN(ageMs) ? 0 : Math.max(0, ageMs); // the answer has its time in whole seconds
}
