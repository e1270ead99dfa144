// The library itself, as its documentation says. It hashes every entry, writes a manifest and a table, and syncs file and
// folder.
import { createReadStream } from "node:fs";
import { readdir, readFile, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { STATE } from "../inputs.mjs";

// Which build is measured is set by the parent process.
const { locate, StateStore } = await import(
  pathToFileURL(path.join(process.env["SNAPKEEP_DIST"] ?? "", "mod.js")).href
);

// Importing does not count. Others import their packages with the library, this one a part of itself when it first reads a manifest.
const chunks = path.join(process.env["SNAPKEEP_DIST"] ?? "", "chunks");
const [shapes = ""] = (await readdir(chunks)).filter((name) => /^mini-.*\.js$/.test(name));
await import(pathToFileURL(path.join(chunks, shapes)).href);

/** @param {import("../job.mjs").SaveJob} job */
function optionsOf({ options = {}, level }) {
  const { layout = "tar.gz", durability, archive = {} } = options;
  return {
    layout,
    archive: { ...archive, ...level === undefined ? {} : { level } },
    ...durability === undefined ? {} : { durability },
  };
}

/** @param {object} state @param {import("../job.mjs").SaveJob} job */
async function save(state, job) {
  const folder = `${job.out}.store`;
  const store = new StateStore(folder, { startFresh: true, ...optionsOf(job) }).register(STATE, state);
  return async () => {
    const snapshot = await store.saveState();
    return async () => {
      await rename(String(snapshot), job.out); // after the clock was stopped
      await rm(folder, { recursive: true, force: true });
    };
  };
}

const loadState = () => {};

/**
 * Each value is a state of its own, as are the weights, which are copied at the call.
 *
 * @param {import("../job.mjs").SavesJob} job
 * @returns {Promise<import("../job.mjs").Saves>}
 */
export async function saves({ program, out, options }) {
  const store = new StateStore(out, { startFresh: true, ...optionsOf({ options }) });
  for (const name of Object.keys(program.values)) {
    store.register(name, { loadState, saveState: (out) => out.json("value.json", program.values[name]) });
  }
  store.register("weights", { loadState, saveState: (out) => out.write("weights.f32", program.weights) });
  return {
    save: async () => String(await store.saveState()),
    async contents(saved) {
      const reader = await locate(saved).open();
      const names = [...Object.keys(program.values), "weights"];
      const contents = await Promise.all(names.map(async (name) => [
        name,
        name === "weights" ? await reader.bytes("weights/weights.f32") : await reader.json(`${name}/value.json`),
      ]));
      await reader.close();
      return contents;
    },
  };
}

/** @param {import("../job.mjs").SaveJob} job */
export async function saveMemory(job) {
  const { owned = true } = job.options ?? {};
  return await save({
    loadState,
    saveState(out) {
      for (const { name, bytes } of job.entries) {
        void out.write(name, bytes, { owned });
      }
    },
  }, job);
}

/** A state that reads the files. @param {import("../job.mjs").SaveJob} job */
export async function saveFolder(job) {
  if (job.options?.directory !== undefined) return await exportDirectory(job);
  return await save({
    loadState,
    async saveState(out) {
      const folder = path.join(job.folder, STATE);
      for (const name of (await readdir(folder)).sort()) {
        const file = path.join(folder, name);
        const { size: sizeBytes } = await stat(file);
        if (sizeBytes <= 16 * 1024 * 1024) {
          await out.write(name, await readFile(file), { owned: true });
        } else {await out.write(
            name,
            createReadStream(file, { highWaterMark: 1024 * 1024 }),
            { sizeBytes },
          );}
      }
    },
  }, job);
}

/** A directory snapshot of the same files becomes one archive, verified on the way. @param {import("../job.mjs").SaveJob} job */
async function exportDirectory(job) {
  const { layout, archive } = optionsOf(job);
  const target = `${job.out}.${layout}`;
  return async () => {
    await locate(job.options.directory).exportTo(target, { archive });
    return async () => await rename(target, job.out);
  };
}

/** @param {import("../job.mjs").LoadJob} job */
export async function load({ from, options = {} }) {
  /** @type {Uint8Array[]} */
  const loaded = [];
  const store = new StateStore(path.dirname(from)).register(STATE, {
    saveState() {},
    async loadState(state) {
      if (options.stream) {
        for (const { path } of state.entries) {
          for await (const chunk of state.stream(path)) loaded.push(chunk);
        }
      } else {for (const { path } of state.entries) {
          loaded.push(await state.bytes(path));
        }}
    },
  });
  return async () => {
    await store.loadState(from);
    return loaded;
  };
}

/** @param {string} from @param {string} name */
export async function readOne(from, name) {
  const reader = await locate(from).open();
  try {
    return await reader.bytes(`${STATE}/${name}`);
  } finally {
    await reader.close();
  }
}

/** @param {string} from */
export async function openOnce(from) {
  const reader = await locate(from).open();
  return {
    read: (name) => reader.bytes(`${STATE}/${name}`),
    close: () => reader.close(),
  };
}

/** Saves a stream as one entry. @param {{ folder: string, source: () => AsyncIterable<Uint8Array>, sizeBytes?: number }} job */
export async function saveStream({ folder, source, sizeBytes }) {
  const store = new StateStore(folder, { layout: "tar.gz" }).register(STATE, {
    loadState,
    saveState: (out) =>
      out.write(
        "stream.bin",
        source(),
        sizeBytes === undefined ? {} : { sizeBytes },
      ),
  });
  return String(await store.saveState());
}

/** Loads one back as a stream. @param {string} from */
export async function loadStream(from) {
  let bytes = 0;
  const store = new StateStore(path.dirname(from)).register(STATE, {
    saveState() {},
    async loadState(state) {
      for await (const chunk of state.stream("stream.bin")) {
        bytes += chunk.length;
      }
    },
  });
  await store.loadState(from);
  return bytes;
}

/** How long a save holds its caller while it copies, the first time and again. @param {{ folder: string, entries: { name: string, bytes: Uint8Array }[] }} job */
export async function capture({ folder, entries }) {
  const store = new StateStore(folder, {
    startFresh: true,
    layout: "directory",
    durability: "none",
  }).register(STATE, {
    loadState,
    saveState(out) {
      for (const { name, bytes } of entries) void out.write(name, bytes);
    },
  });
  const spent = [];
  for (let save = 0; save < 2; save++) {
    const since = performance.now();
    const saving = store.saveState();
    spent.push(performance.now() - since);
    await saving;
  }
  return { firstMs: spent[0], againMs: spent[1] };
}
