// The object store that the tests of this folder run against: one for each file, with a bucket for each test.
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { type S3Backend, s3Backend, type S3Options } from "snapkeep/s3";
import { afterAll, beforeAll } from "vitest";
import { credentials, isInstalled, remedy, startObjectStore } from "../../tools/object_store.mjs";

/** Whether the server is installed; where it is not, the tests are skipped and say so. */
export const hasObjectStore: boolean = isInstalled();
if (!hasObjectStore) console.warn(`Skipped: the tests against an object store. Ceph's gateway is missing; ${remedy}`);

export interface ObjectStoreHere {
  readonly endpoint: string;
  killGateway(): void;
  startGateway(): Promise<void>;
  /** A client that does nothing by itself. */
  client(): S3Client;
  /** How a new place of its own is reached. */
  place(): Promise<S3Options & { readonly url: string }>;
  /** A backend on a new place of its own. */
  backend(options?: Partial<S3Options>): Promise<S3Backend>;
}

let count = 0;

/** Starts a store before the tests of a file, and ends it after them. */
export function objectStore(): ObjectStoreHere {
  let started: Awaited<ReturnType<typeof startObjectStore>> | undefined;
  const bucket = "snapkeep-tests";
  const server = () => {
    if (started === undefined) throw new Error("the object store was not started");
    return started;
  };
  const here: ObjectStoreHere = {
    get endpoint() {
      return server().endpoint;
    },
    killGateway: () => server().killGateway(),
    startGateway: () => server().startGateway(),
    client: () => new S3Client({ endpoint: server().endpoint, region: "us-east-1", forcePathStyle: true, credentials }),
    place: async () => ({ url: `s3://${bucket}/place ${++count}/ä`, endpoint: server().endpoint, credentials }),
    backend: async (options = {}) => s3Backend({ ...await here.place(), ...options }),
  };
  if (hasObjectStore) {
    beforeAll(async () => {
      started = await startObjectStore();
      const client = here.client();
      await client.send(new CreateBucketCommand({ Bucket: bucket }));
      client.destroy();
    });
    afterAll(async () => await started?.stop());
  }
  return here;
}
