// The contract of backends, kept by all we have, also through the faulty decorators with no fault planned.
import path from "node:path";
import { fileURLToPath } from "node:url";
import { type Backend, fileBackend, type FileBackendOptions, memoryBackend } from "snapkeep";
import { backendConformance, Faults, faultyBackend, faultyFileSystem, nodeFileSystem } from "snapkeep/testing";
import { describe, expect, it, vi } from "vitest";
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

const journalFile = ({ uri }: Backend, name: string) => path.join(fileURLToPath(uri), `.${name}.journal`);

for (const [name, make] of Object.entries(backends)) {
  describe(name, () => {
    for (const { name, run } of backendConformance(make, { journalFile })) it(name, run);
  });
}

describe("a case that has nothing to check", () => {
  const [journal] = backendConformance(memoryBackend).filter(({ name }) => name.startsWith("a journal"));

  it("is skipped through the context of the test runner, with a reason", async () => {
    const reasons: string[] = [];
    await journal?.run({ skip: (reason) => void reasons.push(reason) });
    expect(reasons).toEqual(["the backend has no journal"]);
  });

  it("prints the reason when the runner passes no context", async () => {
    const print = vi.spyOn(console, "info").mockImplementation(() => {});
    try {
      await journal?.run();
      expect(print.mock.calls).toEqual([[`skipped: ${journal?.name}: the backend has no journal`]]);
    } finally {
      print.mockRestore();
    }
  });

  it("takes no parameter that a runner would answer with a callback", () => {
    for (const { run } of backendConformance(memoryBackend)) expect(run.length).toBe(0);
  });

  it("is one about files when the option journalFile is missing", async () => {
    const reasons: string[] = [];
    for (const { name, run } of backendConformance(() => onFiles({ durability: "none" }))) {
      if (/torn|too long are|replaced|link is/.test(name)) await run({ skip: (reason) => void reasons.push(reason) });
    }
    expect(reasons).toEqual(new Array(4).fill("the option journalFile is missing"));
  });
});
