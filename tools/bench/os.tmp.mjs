// Moves the bytes of one finished archive to an object store and back, by snapkeep's backend and by the bare client, in turns.
// Prints seconds and CPU seconds of both, their ratios, and the requests of reading one state.
//
//   node tools/build.mjs && node tools/bench/object_store.mjs [MiB] [rounds]
import { randomBytes } from "node:crypto";
import process from "node:process";
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { s3Backend } from "../../dist/src/s3/mod.js";
import { credentials, startObjectStore } from "../object_store.mjs";
import { table } from "../run.mjs";

const MIB = 1024 * 1024;
const PART_BYTES = 16 * MIB;
const PIECE_BYTES = 8 * MIB;
const IN_FLIGHT = 4;
const [sizeMiB = 128, rounds = 5] = process.argv.slice(2).map(Number);
const Bucket = "bench";
const bytes = randomBytes(sizeMiB * MIB);

/** @param {number} count @param {(index: number) => Promise<void>} work */
async function inFlight(count, work) {
  let next = 0;
  await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
    while (next < count) await work(next++);
  }));
}

const { endpoint, stop } = await startObjectStore();
try {
  const client = new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials,
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
  });
  await client.send(new CreateBucketCommand({ Bucket }));
  const backend = s3Backend({ url: `s3://${Bucket}/snapshots`, endpoint, credentials });
  const unit = "x.state.tar.gz";

  /** @type {Record<string, () => Promise<void>>} */
  const work = {
    async "up, client"() {
      const at = { Bucket, Key: "bare" };
      const { UploadId } = await client.send(new CreateMultipartUploadCommand(at));
      const Parts = /** @type {{ PartNumber: number, ETag: string | undefined }[]} */ ([]);
      await inFlight(Math.ceil(bytes.length / PART_BYTES), async (index) => {
        const Body = bytes.subarray(index * PART_BYTES, (index + 1) * PART_BYTES);
        const { ETag } = await client.send(new UploadPartCommand({ ...at, UploadId, PartNumber: index + 1, Body }));
        Parts[index] = { PartNumber: index + 1, ETag };
      });
      await client.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts } }));
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
        const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: "bare", Range }));
        await Body?.transformToByteArray();
      });
    },
    async "down, snapkeep"() {
      const blob = await backend.open(unit);
      let sizeBytes = 0;
      for await (const chunk of blob?.stream() ?? []) sizeBytes += chunk.length;
      await blob?.close();
      if (sizeBytes !== bytes.length) throw new Error(`read ${sizeBytes} of ${bytes.length} bytes`);
    },
  };

  /** @type {Record<string, { seconds: number, cpu: number }[]>} */
  const results = {};
  for (let round = 0; round <= rounds; round++) {
    await backend.remove(unit);
    for (const [name, run] of Object.entries(work)) {
      const since = performance.now();
      const before = process.cpuUsage();
      await run();
      const { user, system } = process.cpuUsage(before);
      if (process.env.V) console.log(name, ((performance.now() - since) / 1000).toFixed(2), ((user + system) / 1e6).toFixed(3), (user/1e6).toFixed(3), (system/1e6).toFixed(3));
    const measured = { seconds: (performance.now() - since) / 1000, cpu: (user + system) / 1e6 };
      if (round > 0) (results[name] ??= []).push(measured); // the first warms up
    }
  }
  /** @param {string} name @param {"seconds" | "cpu"} of */
  const median = (name, of) => {
    const sorted = (results[name] ?? []).map((each) => each[of]).sort((one, other) => one - other);
    return sorted[sorted.length >> 1] ?? NaN;
  };
  const rows = ["up", "down"].map((way) => {
    const [own, bare] = [`${way}, snapkeep`, `${way}, client`];
    return [
      way,
      median(own, "seconds").toFixed(2),
      median(bare, "seconds").toFixed(2),
      (median(bare, "seconds") / median(own, "seconds")).toFixed(2),
      (median(bare, "cpu") / median(own, "cpu")).toFixed(2),
    ];
  });
  console.log(table([[`${sizeMiB} MiB`, "snapkeep s", "client s", "speed ratio", "CPU ratio"], ...rows]));
  client.destroy();
} finally {
  await stop();
}
process.exit(); // connections of the backend are kept alive
