// The contract of backends, kept on a real object store.
import { backendConformance } from "snapkeep/testing";
import { describe, it } from "vitest";
import { isLong } from "../torture/budget.ts";
import { hasObjectStore, newBackend } from "./object_store.ts";

describe.skipIf(!hasObjectStore)("s3Backend", () => {
  for (const { name, run } of backendConformance(() => newBackend())) it.concurrent(name, run);
});

describe.skipIf(!hasObjectStore || !isLong)("s3Backend with small parts", () => {
  const options = { bigBlobBytes: 12 * 1024 * 1024 };
  const cases = backendConformance(() => newBackend({ partBytes: 5 * 1024 * 1024 }), options);
  for (const { name, run } of cases) if (/big blobs|while it is published/.test(name)) it.concurrent(name, run);
});
