// Many writers of one name: in one program, and in several.
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { afterEach, describe, expect, it } from "vitest";
import { readBytes } from "../../src/runtime/reading.ts";
import { credentials } from "../../tools/object_store.mjs";
import { commandOf } from "../faults/child.ts";
import { amount } from "../torture/budget.ts";
import { hasObjectStore } from "./object_store.ts";
import { saveBlob, saveGroup, UNIT, unitsOf, world } from "./world.ts";

const here = world();
const children: ChildProcess[] = [];

/** A program that saves the units it receives, with its answers as lines. */
function racer(id: string) {
  const [command, before] = commandOf("race_for_names");
  const env = {
    ...process.env,
    DENO_NO_UPDATE_CHECK: "1",
    NODE_OPTIONS: "",
    AWS_ENDPOINT_URL: here.place.endpoint as string,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  };
  const child = spawn(command, [...before, here.place.url, id], { stdio: ["pipe", "pipe", "inherit"], env });
  children.push(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    id,
    next: async () => (await lines.next()).value as string | undefined,
    save: (unit: string) => void child.stdin.write(`${unit}\n`),
  };
}

describe.skipIf(!hasObjectStore)("s3Backend", () => {
  afterEach(() => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
  });

  it("lets one of 20 writers win that race for one name in several layouts", async () => {
    const attempts = await Promise.allSettled(Array.from({ length: 20 }, async (_, writer) => {
      if (writer % 2 === 0) await saveGroup(here.backend());
      else await saveBlob(here.backend(), 10, "2026-01-02.state.tar.gz");
    }));
    expect(attempts.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const attempt of attempts) {
      if (attempt.status === "rejected") expect(attempt.reason).toMatchObject({ code: "SNAPSHOT_EXISTS" });
    }
    const { keys } = await here.raw();
    const [first] = keys;
    expect(keys).toEqual(first === `${UNIT}a/x` ? [first, `${UNIT}manifest.json`] : ["2026-01-02.state.tar.gz"]);
  });

  it("lets one of several programs win each name they race for, with all its bytes", async () => {
    const racers = Array.from({ length: amount("store", "racers") }, (_, index) => racer(`program ${index}`));
    for (const each of racers) expect(await each.next()).toBe("ready");
    const units = Array.from(
      { length: amount("store", "races") },
      (_, index) => `${index}.state${index % 2 ? "/" : ".tar"}`,
    );
    for (const unit of units) {
      for (const each of racers) each.save(unit);
      const answers = await Promise.all(racers.map((each) => each.next()));
      const winners = racers.filter((_, index) => answers[index] === `won ${unit}`);
      expect(winners, answers.join(", ")).toHaveLength(1);
      expect(answers.filter((answer) => answer === `lost ${unit} SNAPSHOT_EXISTS`)).toHaveLength(racers.length - 1);
      const backend = here.backend();
      for await (const { path } of backend.blobs(unit)) {
        const blob = await backend.open(unit, path);
        expect(new TextDecoder().decode(blob && await readBytes(blob, 0, 100))).toBe(winners[0]?.id);
        await blob?.close();
      }
    }
    expect(await unitsOf(here.backend())).toEqual([...units].sort());
    expect((await here.raw()).keys.filter((key) => key.startsWith("."))).toEqual([]);
  });
});
