// One of several programs that race for the same names on an object store. For each line of its input, which is a unit, it saves
// the unit and says how that ended.
import process from "node:process";
import { createInterface } from "node:readline";
import { isSnapshotError } from "../../mod.ts";
import { s3Backend } from "../../src/s3/mod.ts";

const [url = "", id = ""] = process.argv.slice(2);
const backend = s3Backend({ url });
const bytes = [new TextEncoder().encode(id)];

async function save(unit: string): Promise<string> {
  let abandon: (() => Promise<void>) | undefined;
  try {
    const stage = await backend.stage(unit);
    abandon = () => stage.abandon();
    if (!unit.endsWith("/")) await stage.publish("", bytes);
    else {
      await Promise.all(["a", "b/c"].map((path) => stage.write(path, bytes)));
      await stage.publish("manifest.json", bytes);
    }
    return `won ${unit}`;
  } catch (error) {
    await abandon?.();
    return `lost ${unit} ${isSnapshotError(error) ? error.code : String(error)}`;
  }
}

await backend.probe();
process.stdout.write("ready\n");
for await (const unit of createInterface({ input: process.stdin })) process.stdout.write(`${await save(unit)}\n`);
process.exit(0);
