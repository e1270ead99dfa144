// What a file backend refuses, and that it is refused as what it is.
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { fileBackend } from "snapkeep";
import { Faults, faultyFileSystem, nodeFileSystem } from "snapkeep/testing";
import { expect, it } from "vitest";
import { rejection } from "../store/states.ts";
import { temporaryFolder } from "./temporary.ts";

it("a work folder where no folder can be is STORAGE_FAILED with the system's reason", async () => {
  const file = path.join(await temporaryFolder(), "file");
  await writeFile(file, "");
  const backend = fileBackend(path.join(file, "states"));
  await expect((async () => backend.workFolder?.())()).rejects.toMatchObject({
    code: "STORAGE_FAILED",
    details: { operation: "mkdir", errno: "ENOTDIR" },
  });
});

it.each(["2026-01-02.state", "2026-01-02.zip", ""])("what is no unit is refused before any I/O: %j", async (unit) => {
  const backend = fileBackend(path.join(await temporaryFolder(), "states"));
  for (const refused of [backend.open(unit), backend.stage(unit), backend.remove(unit)]) {
    expect(await rejection(refused)).toMatchObject({ code: "STORAGE_FAILED", details: { operation: "address" } });
  }
});

it.each(["x.state/", "x.state.tar.gz"])(
  "a stage that was abandoned publishes nothing, and says why: %s",
  async (unit) => {
    const backend = fileBackend(path.join(await temporaryFolder(), "states"));
    const stage = await backend.stage(unit);
    await stage.abandon();
    const commit = unit.endsWith("/") ? "manifest.json" : "";
    const error = await rejection(stage.publish(commit, [new Uint8Array(3)]));
    expect(error).toMatchObject({ code: "STORAGE_FAILED", message: expect.stringMatching(/abandoned/) });
    const next = await backend.stage(unit);
    await next.publish(commit, [new Uint8Array(3)]);
    const again = await rejection(next.publish(commit, [new Uint8Array(4)]));
    expect(again).toMatchObject({ code: "STORAGE_FAILED", message: expect.stringMatching(/published/) });
  },
);

it("a write whose stage is abandoned ends at its next chunk, and its body is closed", async () => {
  const backend = fileBackend(path.join(await temporaryFolder(), "states"));
  const stage = await backend.stage("x.state/");
  let [given, isEnded] = [0, false];
  const body = async function* () {
    try {
      for (; given < 1000; given++) {
        yield new Uint8Array(1);
        if (given === 2) void stage.abandon();
      }
    } finally {
      isEnded = true;
    }
  };
  const error = await rejection(stage.write("endless", body()));
  expect(error).toMatchObject({ code: "STORAGE_FAILED", message: expect.stringMatching(/abandoned/) });
  expect(given).toBeLessThan(10);
  expect(isEnded).toBe(true);
  await stage.abandon();
});

it.each(["EEXIST", "ENOSPC", "EDQUOT", "EROFS", "ENOENT"])(
  "an archive whose link fails with %s, which a rename would not mend, is not published another way",
  async (errno) => {
    const faults = new Faults({ at: 1, errno, only: ({ operation }) => operation === "link" });
    const fileSystem = faultyFileSystem(nodeFileSystem, faults);
    const backend = fileBackend(path.join(await temporaryFolder(), "states"), { fileSystem });
    const stage = await backend.stage("x.state.tar.gz");
    const error = await rejection(stage.publish("", [new Uint8Array(3)]));
    expect(error).toMatchObject({ details: { errno } });
    await stage.abandon();
    expect(faults.calls.filter(({ operation }) => operation === "rename")).toEqual([]);
  },
);
