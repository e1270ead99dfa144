// What a measuring process looks at: its peak of memory, its longest stall, the bytes it reads.
import fs, { readFileSync, statSync, writeFileSync } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import path from "node:path";

/** @param {string} field @returns {number | undefined} In bytes; absent where there is no /proc. */
function statusOf(field) {
  try {
    const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(
      readFileSync("/proc/self/status", "utf8"),
    )?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined;
  }
}

/** Starts to watch the peak of this process' memory. @returns {() => number | undefined} Bytes it grew by since. */
export function watchPeak() {
  try {
    writeFileSync("/proc/self/clear_refs", "5"); // the peak begins anew
  } catch {
    // then it counts from the start of the process, which can only be more
  }
  const before = statusOf("VmRSS");
  return () => {
    const peak = statusOf("VmHWM");
    return before === undefined || peak === undefined ? undefined : Math.max(0, peak - before);
  };
}

/** Starts to watch the event loop. @returns {() => number} Milliseconds of the longest time between two of its turns. */
export function watchStalls() {
  let last = performance.now();
  let longest = 0;
  let isOn = true;
  const turn = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (isOn) setTimeout(turn, 1);
  };
  setTimeout(turn, 1);
  return () => {
    isOn = false;
    turn();
    return longest;
  };
}

/** Starts to count what is read through node:fs, streams included. @returns {Promise<() => { reads: number, bytes: number }>} */
export async function watchReads() {
  let reads = 0;
  let bytes = 0;
  /** @param {number} count */
  const counted = (count) => {
    reads++;
    bytes += count;
  };
  const { read, readSync } = fs;
  // @ts-expect-error the overloads do not matter here
  fs.read = (...args) => {
    const done = args.pop();
    // @ts-expect-error
    return read(...args, (error, count, buffer) => {
      if (!error) counted(count);
      done(error, count, buffer);
    });
  };
  // @ts-expect-error
  fs.readSync = (...args) => {
    // @ts-expect-error
    const count = readSync(...args);
    counted(count);
    return count;
  };
  syncBuiltinESMExports();
  const handle = await open(process.execPath, "r");
  const proto = Object.getPrototypeOf(handle);
  await handle.close();
  const ofHandle = proto.read;
  proto.read = async function (...args) {
    const result = await ofHandle.apply(this, args);
    counted(result.bytesRead);
    return result;
  };
  return () => {
    Object.assign(fs, { read, readSync });
    syncBuiltinESMExports();
    proto.read = ofHandle;
    return { reads, bytes };
  };
}

/** Bytes this process has read so far by any means but mappings, where the system tells. @returns {number | undefined} */
export function systemReadBytes() {
  try {
    return Number(
      /^rchar: (\d+)$/m.exec(readFileSync("/proc/self/io", "utf8"))?.[1],
    );
  } catch {
    return undefined;
  }
}

/** Makes a file durable, as every contender must in the end. @param {string} file */
export async function syncFile(file) {
  const handle = await open(file, "r");
  await handle.sync();
  await handle.close();
}

/** @param {string} target A file, or a folder with all it holds. @returns {Promise<number>} */
export async function bytesOf(target) {
  if (statSync(target).isFile()) return statSync(target).size;
  let bytes = 0;
  for (const entry of await readdir(target, { withFileTypes: true })) {
    bytes += await bytesOf(path.join(target, entry.name));
  }
  return bytes;
}
