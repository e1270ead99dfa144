// Starts the object store before the first test of this folder and ends it after the last one, unless tools/suites.mjs has
// started one for all runtimes.
import type { TestProject } from "vitest/node";
import { givenObjectStore, isInstalled, remedy, startObjectStore } from "../../tools/object_store.mjs";

declare module "vitest" {
  interface ProvidedContext {
    objectStore: { readonly endpoint: string; readonly folder: string } | undefined;
  }
}

export async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if (!isInstalled()) {
    console.warn(`Skipped: the tests against an object store. Ceph's gateway is missing; ${remedy}`);
    project.provide("objectStore", undefined);
    return undefined;
  }
  const { endpoint, folder, stop } = givenObjectStore() ?? await startObjectStore();
  project.provide("objectStore", { endpoint, folder });
  return stop;
}
