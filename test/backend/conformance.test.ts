// The contract of backends, kept by all we have, also through the faulty decorators with no fault planned.
import path from "node:path";
import { type Backend, fileBackend, type FileBackendOptions, memoryBackend } from "snapkeep";
import { backendConformance, Faults, faultyBackend, faultyFileSystem, nodeFileSystem } from "snapkeep/testing";
import { describe, it } from "vitest";
import { fastFolder, temporaryFolder } from "./temporary.ts";

// One of them on a real disk; the others where syncs cost nothing.
const onFiles = async (options: FileBackendOptions = {}, folder = fastFolder()) =>
  fileBackend(path.join(await folder, "deep", "states"), options);

const backends: Record<string, () => Backend | Promise<Backend>> = {
  "memoryBackend": memoryBackend,
  "fileBackend with full durability": () => onFiles({}, temporaryFolder()),
  "fileBackend without durability": () => onFiles({ durability: "none" }),
  "fileBackend on a faulty file system without faults": () =>
    onFiles({ fileSystem: faultyFileSystem(nodeFileSystem, new Faults()) }),
  "faulty memoryBackend without faults": () => faultyBackend(memoryBackend(), new Faults()),
  "faulty fileBackend without faults": async () => faultyBackend(await onFiles(), new Faults()),
};

for (const [name, make] of Object.entries(backends)) {
  describe(name, () => {
    for (const { name, run } of backendConformance(make)) it(name, run);
  });
}
