// What a file backend refuses, and that it is refused as what it is.
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { fileBackend } from "snapkeep";
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
