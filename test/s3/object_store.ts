// The object store that the tests of this folder run against: one for all files, with a place of its own for each test.
import { S3Client } from "@aws-sdk/client-s3";
import { type S3Backend, s3Backend, type S3Options } from "snapkeep/s3";
import { inject } from "vitest";
import { BUCKET, credentials, startGateway } from "../../tools/object_store.mjs";

const running = inject("objectStore");

/** Whether the server is installed; where it is not, the tests are skipped. */
export const hasObjectStore: boolean = running !== undefined;

/** How a place is reached. */
export type Place = S3Options & { readonly url: string };

/** The address of the store. */
export const endpoint: string = running?.endpoint ?? "http://127.0.0.1:1";

/** Starts a gateway that a test may kill. */
export async function ownGateway(): ReturnType<typeof startGateway> {
  if (running === undefined) throw new Error("the object store was not started");
  return await startGateway(running.folder);
}

/** A client that does nothing by itself. */
export function bareClient(): S3Client {
  return new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials,
    requestChecksumCalculation: "WHEN_REQUIRED",
  });
}

/** How a new place of its own is reached; its prefix needs escapes. */
export function newPlace(): Place {
  return { url: `s3://${BUCKET}/place ${crypto.randomUUID()}/ä`, endpoint, credentials };
}

/** The bucket of a place, and what its keys begin with. */
export function whereIs({ url }: { readonly url: string }): { readonly Bucket: string; readonly prefix: string } {
  const [Bucket = "", ...prefix] = url.slice("s3://".length).split("/");
  return { Bucket, prefix: `${prefix.join("/")}/` };
}

/** A backend on a new place of its own. */
export function newBackend(options: Partial<S3Options> = {}): S3Backend {
  return s3Backend({ ...newPlace(), ...options });
}
