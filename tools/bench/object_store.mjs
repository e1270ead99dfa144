// What an object store costs, on a server of its own on this machine: the bytes of a finished archive there and back beside the bare
// client, many small entries as an archive and as a directory, and the reading of one state. Where the server is not installed, it
// says so and measures nothing.
import { randomBytes } from "node:crypto";
import { createServer, request } from "node:http";
import process from "node:process";
import { credentials, isInstalled, remedy, startObjectStore } from "../object_store.mjs";
import { table } from "../run.mjs";

const MIB = 1024 * 1024;
const PART_BYTES = 16 * MIB;
const PIECE_BYTES = 8 * MIB;
const IN_FLIGHT = 4;
const Bucket = "bench";

/** @typedef {{ seconds: number, cpu: number }} Cost */

/** @param {() => Promise<unknown>} work @returns {Promise<Cost>} */
async function costOf(work) {
  const since = performance.now();
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return { seconds: (performance.now() - since) / 1000, cpu: (user + system) / 1e6 };
}

/** @param {readonly number[]} values */
const median = (values) => [...values].sort((one, other) => one - other)[values.length >> 1] ?? NaN;

/** @param {number} count @param {(index: number) => Promise<void>} work */
async function inFlight(count, work) {
  let next = 0;
  await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
    while (next < count) await work(next++);
  }));
}

/** A proxy that counts requests and the bytes of their answers. @param {string} endpoint */
async function countingProxy(endpoint) {
  const { hostname, port } = new URL(endpoint);
  const counts = { requests: 0, bytes: 0 };
  const server = createServer((from, to) => {
    counts.requests++;
    const { method, url: path, headers } = from;
    const upstream = request({ hostname, port, method, path, headers }, (answer) => {
      to.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.on("data", ({ length }) => counts.bytes += length).pipe(to);
    });
    upstream.on("error", () => to.destroy());
    from.pipe(upstream);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port: own } = /** @type {import("node:net").AddressInfo} */ (server.address());
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { endpoint: `http://127.0.0.1:${own}`, counts, close };
}

/**
 * Seconds and CPU seconds of both ways of moving the same bytes, in turns.
 *
 * @param {string} endpoint @param {Uint8Array} bytes @param {number} rounds
 */
async function transfers(endpoint, bytes, rounds) {
  const sdk = await import("@aws-sdk/client-s3");
  const { s3Backend } = await import("../../dist/src/s3/mod.js");
  const client = new sdk.S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials,
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
  });
  await client.send(new sdk.CreateBucketCommand({ Bucket }));
  const backend = s3Backend({ url: `s3://${Bucket}/snapshots`, endpoint, credentials });
  const unit = "x.state.tar.gz";
  /** @type {Record<string, () => Promise<void>>} */
  const work = {
    async "up, client"() {
      const at = { Bucket, Key: "bare" };
      const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand(at));
      const Parts = /** @type {{ PartNumber: number, ETag: string | undefined }[]} */ ([]);
      await inFlight(Math.ceil(bytes.length / PART_BYTES), async (index) => {
        const Body = bytes.subarray(index * PART_BYTES, (index + 1) * PART_BYTES);
        const { ETag } = await client.send(new sdk.UploadPartCommand({ ...at, UploadId, PartNumber: index + 1, Body }));
        Parts[index] = { PartNumber: index + 1, ETag };
      });
      await client.send(new sdk.CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts } }));
    },
    async "up, snapkeep"() {
      const stage = await backend.stage(unit);
      const pieces = function* () {
        for (let start = 0; start < bytes.length; start += MIB) yield bytes.subarray(start, start + MIB);
      };
      await stage.publish("", pieces());
    },
    async "down, client"() {
      await inFlight(Math.ceil(bytes.length / PIECE_BYTES), async (index) => {
        const Range = `bytes=${index * PIECE_BYTES}-${Math.min(bytes.length, (index + 1) * PIECE_BYTES) - 1}`;
        const { Body } = await client.send(new sdk.GetObjectCommand({ Bucket, Key: "bare", Range }));
        await Body?.transformToByteArray();
      });
    },
    async "down, snapkeep"() {
      const blob = await backend.open(unit);
      let sizeBytes = 0;
      for await (const chunk of blob?.read(0, blob.sizeBytes) ?? []) sizeBytes += chunk.length;
      await blob?.close();
      if (sizeBytes !== bytes.length) throw new Error(`read ${sizeBytes} of ${bytes.length} bytes`);
    },
  };
  /** @type {Record<string, Cost[]>} */
  const costs = {};
  for (let round = 0; round <= rounds; round++) {
    await backend.remove(unit);
    for (const [name, run] of Object.entries(work)) {
      const cost = await costOf(run);
      if (round > 0) (costs[name] ??= []).push(cost); // the first warms up
    }
  }
  client.destroy();
  /** @param {string} name @param {"seconds" | "cpu"} of */
  const of = (name, of) => median((costs[name] ?? []).map((cost) => cost[of]));
  return ["up", "down"].map((way) => {
    const [own, bare] = [`${way}, snapkeep`, `${way}, client`];
    return [
      `${way}, ${bytes.length / MIB} MiB`,
      of(own, "seconds").toFixed(2),
      of(bare, "seconds").toFixed(2),
      (of(bare, "seconds") / of(own, "seconds")).toFixed(2),
      (of(bare, "cpu") / of(own, "cpu")).toFixed(2),
    ];
  });
}

/**
 * Seconds, requests and bytes of saving and loading many small entries, and of reading one.
 *
 * @param {string} endpoint @param {number} entries
 */
async function smallEntries(endpoint, entries) {
  const { StateStore } = await import("../../dist/mod.js");
  const { s3Backend } = await import("../../dist/src/s3/mod.js");
  const proxy = await countingProxy(endpoint);
  try {
    const rows = [];
    for (const layout of /** @type {const} */ (["tar.gz", "directory"])) {
      const backend = s3Backend({ url: `s3://${Bucket}/${layout}`, endpoint: proxy.endpoint, credentials });
      const store = new StateStore(backend, { layout }).register("many", {
        async saveState(out) {
          for (let index = 0; index < entries; index++) await out.write(`${index}`, randomBytes(100));
        },
        async loadState(from) {
          for (let index = 0; index < entries; index++) await from.bytes(`${index}`);
        },
      }).register("one", {
        saveState: (out) => out.json("one", 1),
        loadState: async (from) => void await from.json("one"),
      });
      await backend.probe();
      store.startFresh();
      const saved = await store.saveState(); // which sweeps
      await saved.remove();
      /** @param {string} what @param {() => Promise<unknown>} work */
      const row = async (what, work) => {
        Object.assign(proxy.counts, { requests: 0, bytes: 0 });
        const { seconds } = await costOf(work);
        const { requests, bytes } = proxy.counts;
        rows.push([`${what}, ${layout}`, seconds.toFixed(2), String(requests), (bytes / MIB).toFixed(2)]);
      };
      await row(`save ${entries} entries of 100 bytes`, () => store.saveState());
      const latest = await store.latest();
      await row("load them", () => store.loadState(/** @type {NonNullable<typeof latest>} */ (latest)));
      await row("read one state of them", async () => {
        const reader = await latest?.open();
        await reader?.json("one/one");
        await reader?.close();
      });
    }
    return rows;
  } finally {
    proxy.close();
  }
}

/**
 * Measures all of it.
 *
 * @param {{ sizeMiB: number, rounds: number, entries: number }} amounts
 * @returns {Promise<string[][][] | undefined>} Tables with their heads; `undefined` where there is no server.
 */
export async function measureObjectStore({ sizeMiB, rounds, entries }) {
  if (!isInstalled()) {
    console.log(`   skipped: the server is not installed; ${remedy}`);
    return undefined;
  }
  const { endpoint, stop } = await startObjectStore();
  try {
    const moved = await transfers(endpoint, randomBytes(sizeMiB * MIB), rounds);
    const small = await smallEntries(endpoint, entries);
    const tables = [
      [["bytes of a finished archive", "snapkeep, s", "bare client, s", "speed ratio", "CPU ratio"], ...moved],
      [["small entries", "s", "requests", "MiB received"], ...small],
    ];
    for (const each of tables) console.log(`${table(each)}\n`);
    return tables;
  } finally {
    await stop();
  }
}
