// A place with snapshots in it, seen twice: through faulty decorators, as the operation under test sees it, and plainly,
// as the next program sees it.
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { type Backend, fileBackend, memoryBackend, type StateReader, StateStore, type StateWriter } from "snapkeep";
import { Faults, faultyBackend, faultyFileSystem, nodeFileSystem } from "snapkeep/testing";
import { fastFolder } from "../backend/temporary.ts";

/** A state with entries in folders, one of them a stream of unknown size. */
export class Model {
  step = 0;
  loads = 0;
  /** Size of the first line of the log, in bytes. */
  longLineBytes = 0;

  async saveState(out: StateWriter): Promise<void> {
    const { step, longLineBytes } = this;
    const writing = [
      out.write("weights/layer.bin", new Uint8Array(5_000).fill(step)),
      out.write("weights/deep/bias.bin", new Float32Array(10).fill(step)),
      out.write(
        "log.txt",
        (async function* () {
          yield new TextEncoder().encode(`step ${step}, `);
          yield new Uint8Array(longLineBytes).fill(0x20);
          for (let line = 0; line < 3; line++) yield new TextEncoder().encode(`line ${line}\n`);
        })(),
      ),
    ];
    await Promise.all(writing);
    await out.json("step.json", step);
  }

  async loadState(from: StateReader): Promise<void> {
    this.loads++;
    const step = await from.json("step.json") as number;
    const weights = await from.bytes("weights/layer.bin");
    const log = await from.text("log.txt");
    if (!weights.every((byte) => byte === step) || !log.startsWith(`step ${step},`)) throw new Error("mixed snapshot");
    this.step = step;
  }
}

export interface World {
  /** The store through the faults, with the model at step 3. */
  readonly store: StateStore;
  readonly model: Model;
  readonly faults: Faults;
  /** The same place without faults. */
  readonly plain: Backend;
  /** Names of what is neither a unit nor a note. */
  leftovers(): Promise<string[]>;
}

export type MakeWorld = (faults: Faults) => Promise<World>;

const START_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

function storeOn(backend: Backend, model: Model): StateStore {
  return new StateStore(backend, { startFresh: true, now: () => START_MS + model.step * 1000 }).register(
    "model",
    model,
  );
}

/** Saves the older snapshots, one in each layout, as steps 1 and 2. */
async function furnish(backend: Backend): Promise<void> {
  const model = new Model();
  const store = storeOn(backend, model);
  for (const layout of ["directory", "tar.gz"] as const) {
    model.step++;
    await store.saveState({ layout });
  }
}

function world(faults: Faults, plain: Backend, faulty: Backend, leftovers: () => Promise<string[]>): World {
  const model = new Model();
  model.step = 3;
  return { store: storeOn(faulty, model), model, faults, plain, leftovers };
}

/** A folder with the older snapshots, to be made again and again. */
interface Template {
  readonly folders: readonly string[];
  readonly files: ReadonlyMap<string, Uint8Array>;
}

async function furnished(): Promise<Template> {
  const root = await fastFolder();
  await furnish(fileBackend(root, { durability: "none" }));
  const folders: string[] = [];
  const files = new Map<string, Uint8Array>();
  for (const name of (await readdir(root, { recursive: true })).sort()) {
    const isFolder = (await stat(path.join(root, name))).isDirectory();
    if (isFolder) folders.push(name);
    else files.set(name, await readFile(path.join(root, name)));
  }
  return { folders, files };
}

async function build(template: Template, root: string): Promise<void> {
  await mkdir(root, { recursive: true });
  for (const folder of template.folders) await mkdir(path.join(root, folder));
  await Promise.all([...template.files].map(([name, bytes]) => writeFile(path.join(root, name), bytes)));
}

async function hiddenIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => name.startsWith(".") && name !== ".notes");
}

/** Makes worlds on the file system whose system calls fail. */
export async function fileWorlds(isFurnished: boolean): Promise<MakeWorld> {
  const template = isFurnished ? await furnished() : undefined;
  const folders = await fastFolder();
  let count = 0;
  return async (faults) => {
    const folder = path.join(folders, String(++count), "deep", "states");
    if (template === undefined) await nodeFileSystem.makeFolder(path.join(folders, String(count)));
    else await build(template, folder);
    const faulty = fileBackend(folder, { fileSystem: faultyFileSystem(nodeFileSystem, faults) });
    return world(faults, fileBackend(folder), faulty, () => hiddenIn(folder));
  };
}

/** Makes worlds on the file system where calls of the backend fail. */
export async function fileBackendWorlds(isFurnished: boolean): Promise<MakeWorld> {
  const template = isFurnished ? await furnished() : undefined;
  const folders = await fastFolder();
  let count = 0;
  return async (faults) => {
    const folder = path.join(folders, String(++count));
    if (template !== undefined) await build(template, folder);
    const plain = fileBackend(folder, { durability: "none" });
    return world(faults, plain, faultyBackend(plain, faults), () => hiddenIn(folder));
  };
}

/** Makes worlds in memory where calls of the backend fail. */
export async function memoryBackendWorlds(isFurnished: boolean): Promise<MakeWorld> {
  return async (faults) => {
    const plain = memoryBackend();
    if (isFurnished) await furnish(plain);
    return world(faults, plain, faultyBackend(plain, faults), async () => [...await plain.sweep(-1)]);
  };
}

/** Digests of all blobs of all units. */
export async function fingerprint(backend: Backend): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const unit of backend.list()) {
    for await (const { path: blobPath } of backend.blobs(unit)) {
      const blob = await backend.open(unit, blobPath);
      if (blob === undefined) throw new Error(`"${unit}${blobPath}" is listed and cannot be opened`);
      const hash = createHash("sha256");
      for await (const chunk of blob.stream()) hash.update(chunk);
      await blob.close();
      found[unit + blobPath] = hash.digest("hex");
    }
  }
  return found;
}
