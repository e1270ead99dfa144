// Starts the object store before the first test of this folder, once for each runtime, and ends it after the last one.
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import type { TestProject } from "vitest/node";
import { credentials, isInstalled, remedy, startObjectStore } from "../../tools/object_store.mjs";

declare module "vitest" {
  interface ProvidedContext {
    objectStore: { readonly endpoint: string; readonly folder: string } | undefined;
  }
}

/** The bucket of all tests. */
export const BUCKET = "snapkeep-tests";

export async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if (!isInstalled()) {
    console.warn(`Skipped: the tests against an object store. Ceph's gateway is missing; ${remedy}`);
    project.provide("objectStore", undefined);
    return undefined;
  }
  const { endpoint, folder, stop } = await startObjectStore();
  const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  client.destroy();
  project.provide("objectStore", { endpoint, folder });
  return stop;
}
