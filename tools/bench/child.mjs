// One measurement, in a process of its own: reads a job from its argument, prints what it found as the last line.
import { mkdir, readdir, readFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { digestOf } from "./contents.mjs";
import { namesOf, noise, Program, sizes, STATE } from "./inputs.mjs";
import { bytesOf, systemReadBytes, watchPeak, watchReads, watchStalls } from "./probes.mjs";

const job = JSON.parse(process.argv[2] ?? "{}");
const contender = await import(`./contenders/${job.contender}.mjs`);

/** @param {number} since */
const secondsSince = (since) => (performance.now() - since) / 1000;

/** @param {readonly number[]} values */
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

async function entriesOf(folder) {
  const names = (await readdir(path.join(folder, STATE))).sort();
  return await Promise.all(names.map(async (name) => {
    const bytes = await readFile(path.join(folder, STATE, name));
    return {
      name,
      bytes: new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length),
    };
  }));
}

/** @param {readonly (readonly [string, any])[]} contents Bytes or values. */
const plain = (contents) =>
  contents.map(([name, content]) => [
    name,
    content instanceof Uint8Array ? content : new TextEncoder().encode(JSON.stringify(content)),
  ]);

const operations = {
  async save() {
    const entries = job.source === "memory" ? await entriesOf(job.folder) : [];
    const prepared = { ...job, entries };
    const save = await (job.source === "memory" ? contender.saveMemory : contender.saveFolder)(prepared);
    const peakSince = watchPeak();
    const longestStall = job.stalls ? watchStalls() : undefined;
    const since = performance.now();
    const finish = await save();
    const seconds = secondsSince(since);
    const stallMs = longestStall?.();
    const peakBytes = peakSince();
    await finish?.();
    return { seconds, peakBytes, stallMs, bytes: await bytesOf(job.out) };
  },

  async load() {
    const load = await contender.load(job);
    const peakSince = watchPeak();
    const since = performance.now();
    const loaded = await load();
    const seconds = secondsSince(since);
    const loadedBytes = loaded.reduce((sum, bytes) => sum + bytes.length, 0);
    if (job.expectBytes !== undefined && loadedBytes !== job.expectBytes) {
      throw new Error(
        `loaded ${loadedBytes} bytes instead of ${job.expectBytes}`,
      );
    }
    const peakBytes = peakSince();
    const digest = job.isDigested ? await digestOf(loaded.map((bytes) => ["", bytes])) : undefined;
    return { seconds, peakBytes, bytes: await bytesOf(job.from), digest };
  },

  /** First as the first thing a process does, then again and again, then from a reader that stays open. */
  async read() {
    const { from } = job;
    const names = namesOf(sizes[job.size][job.workload]);
    const name = names[names.length >> 1] ?? "";
    const expected = await readFile(path.join(job.folder, STATE, name));
    const since = performance.now();
    const bytes = await contender.readOne(from, name);
    const seconds = secondsSince(since);
    if (!expected.equals(bytes)) {
      throw new Error(`read other bytes than "${name}" has`);
    }
    if (job.isDigested) return { seconds, bytes: await bytesOf(from), digest: await digestOf([["", bytes]]) };
    const again = [];
    for (
      let spent = seconds;
      again.length === 0 || (again.length < 15 && spent < 3);
      spent += again.at(-1) ?? 0
    ) {
      const start = performance.now();
      await contender.readOne(from, name);
      again.push(secondsSince(start));
    }
    let openSeconds;
    if (contender.openOnce !== undefined) {
      const reader = await contender.openOnce(from);
      const warm = [];
      for (let index = 0; index < 15; index++) {
        const other = names[(index * 37 + 1) % names.length] ?? name;
        const start = performance.now();
        await reader.read(other);
        warm.push(secondsSince(start));
      }
      await reader.close();
      openSeconds = median(warm);
    }
    const systemBytes = systemReadBytes();
    await contender.readOne(from, name);
    const systemRead = systemBytes === undefined ? undefined : (systemReadBytes() ?? 0) - systemBytes;
    let read;
    if (
      process.versions.bun === undefined && process.versions.deno === undefined
    ) {
      const readsSince = await watchReads();
      await contender.readOne(from, name);
      read = readsSince();
    }
    return {
      seconds,
      againSeconds: median(again),
      openSeconds,
      read,
      systemReadBytes: systemRead,
      bytes: await bytesOf(from),
    };
  },

  /** The same small state again and again, changed a little each time, in a program that runs on. */
  async saves() {
    const { times, warmUp = 0 } = job;
    const program = new Program();
    const { save, contents } = await contender.saves({ ...job, program });
    const spent = [];
    let last;
    for (let step = 1; step <= times; step++) {
      program.step(step);
      const since = performance.now();
      last = await save();
      spent.push(secondsSince(since));
    }
    const wanted = [...Object.entries(program.values), ["weights", program.weightBytes]];
    return {
      seconds: median(spent.slice(warmUp)),
      firstSeconds: spent[0],
      bytes: await bytesOf(last),
      digest: await digestOf(plain(await contents(last))),
      wanted: await digestOf(plain(wanted)),
    };
  },

  async stream() {
    const block = noise(Math.min(job.streamBytes, 64 * 1024 * 1024));
    await mkdir(job.out, { recursive: true });
    const source = async function* () {
      for (let done = 0; done < job.streamBytes;) {
        const start = done % block.length;
        const piece = block.subarray(
          start,
          start + Math.min(1024 * 1024, job.streamBytes - done),
        );
        done += piece.length;
        yield piece;
      }
    };
    const peakSince = watchPeak();
    const longestStall = watchStalls();
    const since = performance.now();
    const sizeBytes = job.isSized ? job.streamBytes : undefined;
    const file = await contender.saveStream({
      folder: job.out,
      source,
      sizeBytes,
    });
    return {
      seconds: secondsSince(since),
      stallMs: longestStall(),
      peakBytes: peakSince(),
      bytes: await bytesOf(file),
      file,
    };
  },

  async loadStream() {
    const peakSince = watchPeak();
    const longestStall = watchStalls();
    const since = performance.now();
    const bytes = await contender.loadStream(job.from);
    const seconds = secondsSince(since);
    if (bytes !== job.streamBytes) {
      throw new Error(`loaded ${bytes} bytes instead of ${job.streamBytes}`);
    }
    return { seconds, stallMs: longestStall(), peakBytes: peakSince(), bytes };
  },

  async capture() {
    return await contender.capture({
      folder: job.out,
      entries: await entriesOf(job.folder),
    });
  },
};

const result = await operations[job.operation]();
console.log(`\nRESULT ${JSON.stringify(result)}`);
process.exit(0); // whatever a contender left open
