// The contract of bytes: what is written is what is read, in whatever pieces.
import type { ByteSource } from "../model/backend.ts";
import { concat } from "../runtime/bytes.ts";
import { setTimeout } from "../runtime/clock.ts";
import { MANIFEST_PATH } from "../model/unit.ts";
import {
  BLOB,
  type Cases,
  check,
  drain,
  encode,
  failure,
  GROUP,
  lend,
  noise,
  opened,
  publish,
  same,
  sameBytes,
  textOf,
  transfer,
} from "./expectations.ts";

/** Cuts bytes into pieces of uneven sizes, empty ones among them. */
function* uneven(bytes: Uint8Array): Generator<Uint8Array> {
  const sizes = [1, 0, 511, 65_536, 0, 7, 1_048_577, 4_096];
  for (let offset = 0, turn = 0; offset < bytes.length; turn++) {
    const sizeBytes = sizes[turn % sizes.length] ?? 1;
    yield bytes.subarray(offset, offset + sizeBytes);
    offset += sizeBytes;
  }
}

async function* slowly(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    await Promise.resolve();
    yield chunk;
  }
}

/** Cases about the bytes of blobs, one of them of the given size. */
export function blobCases(bigBlobBytes: number): Cases {
  return {
    "big blobs in uneven chunks, empty ones among them, come back unchanged": async (backend) => {
      const bytes = noise(bigBlobBytes);
      const stage = await backend.stage(GROUP);
      const sizes = await Promise.all([
        stage.write("plain", uneven(bytes)),
        stage.write("async", slowly(uneven(bytes))),
        stage.write("one", [bytes]),
      ]);
      same(sizes.map(({ sizeBytes }) => sizeBytes), Array(3).fill(bytes.length), "sizes that were written");
      await stage.publish(MANIFEST_PATH, slowly(uneven(bytes)));
      await (await backend.stage(BLOB)).publish("", uneven(bytes));
      sameBytes(bytes, noise(bigBlobBytes), "what was handed over, after the write");
      for (
        const [unit, path] of [[GROUP, "plain"], [GROUP, "async"], [GROUP, "one"], [GROUP, MANIFEST_PATH], [BLOB, ""]]
      ) {
        await opened(backend, unit as string, path as string, async (blob) => {
          same(blob.sizeBytes, bytes.length, `size of "${unit}${path}"`);
          sameBytes(await drain(blob.stream()), bytes, `"${unit}${path}"`);
          for (let offset = 3; offset < bytes.length; offset += 1_000_003) {
            sameBytes(await blob.read(offset, 70_001), bytes.subarray(offset, offset + 70_001), `range at ${offset}`);
          }
        });
      }
    },

    "a blob may be empty": async (backend) => {
      const stage = await backend.stage(GROUP);
      const bodies: ByteSource[] = [[], [new Uint8Array()], slowly([new Uint8Array(), new Uint8Array()])];
      for (const [index, body] of bodies.entries()) {
        same(await stage.write(`empty/${index}`, body), { sizeBytes: 0 }, "result of the write");
      }
      await stage.publish(MANIFEST_PATH, []);
      await (await backend.stage(BLOB)).publish("", []);
      const blobs = [[GROUP, "empty/0"], [GROUP, "empty/1"], [GROUP, "empty/2"], [GROUP, MANIFEST_PATH], [BLOB, ""]];
      for (const [unit, path] of blobs) {
        await opened(backend, unit as string, path as string, async (blob) => {
          same(blob.sizeBytes, 0, `size of "${unit}${path}"`);
          same((await drain(blob.stream())).length, 0, `bytes streamed from "${unit}${path}"`);
          same((await blob.read(0, 10)).length, 0, `bytes read from "${unit}${path}"`);
        });
      }
    },

    "ranges are read exactly, and end where the blob ends": async (backend) => {
      const bytes = noise(1_000);
      const stage = await backend.stage(BLOB);
      await stage.publish("", [bytes]);
      await opened(backend, BLOB, "", async (blob) => {
        for (const [offset, length] of [[0, 1], [0, 1_000], [1, 998], [999, 1], [500, 0], [0, 0]] as const) {
          sameBytes(await blob.read(offset, length), bytes.subarray(offset, offset + length), `${length} at ${offset}`);
        }
        for (const [offset, length] of [[0, 1_001], [999, 2], [1_000, 1], [1_001, 5], [5_000_000_000, 10]] as const) {
          sameBytes(await blob.read(offset, length), bytes.subarray(offset), `${length} at ${offset}, beyond the end`);
        }
      });
    },

    "lent bytes are the same, concurrently, however early the reader leaves": async (backend) => {
      const bytes = noise(1_500_000);
      const stage = await backend.stage(BLOB);
      await stage.publish("", [bytes]);
      await opened(backend, BLOB, "", async (blob) => {
        if (blob.lend === undefined) return;
        const lend = (offset: number, lengthBytes: number) => blob.lend?.(offset, lengthBytes) ?? blob.stream();
        for await (const piece of lend(0, bytes.length)) {
          check(piece.length > 0, "an empty piece is lent");
          break;
        }
        const places = [[0, 1_500_000], [0, 700_000], [3, 1_400_000], [1_499_999, 1], [1_499_999, 9]] as const;
        const found = await Promise.all(places.map(async ([offset, lengthBytes]) => {
          const copies: Uint8Array[] = [];
          for await (const piece of lend(offset, lengthBytes)) {
            await new Promise((resolve) => setTimeout(resolve, 1)); // others ask for theirs meanwhile
            copies.push(piece.slice());
          }
          return concat(copies);
        }));
        for (const [index, [offset, lengthBytes]] of places.entries()) {
          sameBytes(found[index] as Uint8Array, bytes.subarray(offset, offset + lengthBytes), `lent at ${offset}`);
        }
        for (const [offset, lengthBytes] of [[5, 0], [1_500_000, 9], [5_000_000_000, 9]] as const) {
          for await (const piece of lend(offset, lengthBytes)) same(piece.length, 0, `bytes lent at ${offset}`);
        }
      });
    },

    "a stream may be read again, concurrently, and left early": async (backend) => {
      const bytes = noise(300_000);
      const stage = await backend.stage(BLOB);
      await stage.publish("", [bytes]);
      await opened(backend, BLOB, "", async (blob) => {
        for await (const chunk of blob.stream()) {
          check(chunk.length > 0, "a stream yields an empty chunk");
          break;
        }
        const copies = await Promise.all([drain(blob.stream()), drain(blob.stream()), blob.read(0, bytes.length)]);
        for (const copy of copies) sameBytes(copy, bytes, "a copy");
        sameBytes(await drain(blob.stream()), bytes, "the stream, once more");
      });
    },

    "what is read belongs to the reader": async (backend) => {
      const bytes = noise(1_000);
      const stage = await backend.stage(BLOB);
      await stage.publish("", [bytes.slice()]);
      const wipe = (chunk: Uint8Array<ArrayBuffer>) => new Uint8Array(chunk.buffer).fill(0xee);
      await opened(backend, BLOB, "", async (blob) => {
        const [first, second] = [await blob.read(0, 100), await blob.read(50, 100)];
        wipe(first);
        sameBytes(second, bytes.subarray(50, 150), "another range, after the first was overwritten");
        for await (const chunk of blob.stream()) wipe(chunk);
        sameBytes(await blob.read(0, 1_000), bytes, "the blob, after all chunks were overwritten");
        await opened(backend, BLOB, "", async (again) => {
          sameBytes(await drain(again.stream()), bytes, "the blob, opened again");
        });
      });
    },

    "what is read is the reader's, to transfer as well": async (backend) => {
      const bytes = noise(1_300_000);
      const stage = await backend.stage(GROUP);
      await stage.write("big", [bytes]);
      await stage.write("small", [bytes.subarray(0, 100)]);
      await stage.publish(MANIFEST_PATH, [encode("commit")]);
      for (const [path, expected] of [["big", bytes], ["small", bytes.subarray(0, 100)]] as const) {
        await opened(backend, GROUP, path, async (blob) => {
          const [first, second] = await Promise.all([blob.read(0, 60), blob.read(30, 60)]);
          transfer(first, `a range of "${path}"`);
          sameBytes(second, expected.subarray(30, 90), "another range, after the first was transferred");
          const other = blob.stream();
          for await (const chunk of blob.stream()) transfer(chunk, `a chunk of "${path}"`);
          sameBytes(await drain(other), expected, "another stream, after all chunks of the first were transferred");
          sameBytes(await blob.read(0, expected.length), expected, "the blob, after all chunks were transferred");
        });
      }
    },

    "what is lent to a write is not kept": async (backend) => {
      const bytes = noise(500_000);
      const stage = await backend.stage(GROUP);
      await lend(stage, bytes, (body) => stage.write("a", body));
      await lend(stage, bytes.subarray(0, 100), (body) => stage.write("b", body));
      await lend(stage, bytes, (body) => stage.write("c", slowly(body as Iterable<Uint8Array>)));
      await lend(stage, bytes, (body) => stage.publish(MANIFEST_PATH, body));
      const single = await backend.stage(BLOB);
      await lend(single, bytes, (body) => single.publish("", body));
      const blobs = [[GROUP, "a"], [GROUP, "c"], [GROUP, MANIFEST_PATH], [BLOB, ""]] as const;
      for (const [unit, path] of blobs) {
        const found = await opened(backend, unit, path, (blob) => drain(blob.stream()));
        sameBytes(found, bytes, `"${unit}${path}", after what was lent was overwritten`);
      }
      const small = await opened(backend, GROUP, "b", (blob) => drain(blob.stream()));
      sameBytes(small, bytes.subarray(0, 100), "a small blob, after what was lent was overwritten");
    },

    "small blobs that are lent are those that are opened, in the order they were asked for": async (backend) => {
      if (backend.lendSmall === undefined) return;
      const [small, large] = [noise(1_000), noise(2_000)];
      const stage = await backend.stage(GROUP);
      await stage.write("small", [small]);
      await stage.write("in/a/folder", [small.subarray(0, 10)]);
      await stage.write("empty", []);
      await stage.write("large", [large]);
      await stage.publish(MANIFEST_PATH, [encode("commit")]);
      const expected = [
        ["large", undefined],
        ["in/a/folder", small.subarray(0, 10)],
        ["absent", undefined],
        ["empty", new Uint8Array()],
        ["in/a", undefined],
        ["small", small],
      ] as const;
      const copies: (Uint8Array | undefined)[] = [];
      const lent = backend.lendSmall(GROUP, expected.map(([path]) => path), 1_000);
      for await (const batch of lent) copies.push(...batch.map((bytes) => bytes?.slice()));
      same(copies.length, expected.length, "number of blobs lent");
      for (const [index, [path, bytes]] of expected.entries()) {
        const copy = copies[index];
        if (copy === undefined) continue; // a slow storage lends nothing
        check(bytes !== undefined, `"${path}" is lent, which must be opened`);
        sameBytes(copy, bytes, `"${path}" as it was lent`);
      }
    },

    "a blob may be opened many times, and closed twice": async (backend) => {
      await publish(backend, GROUP, "commit", { x: "text" });
      const readers = await Promise.all(Array.from({ length: 20 }, () => backend.open(GROUP, "x")));
      for (const reader of readers) {
        check(reader !== undefined, "cannot open a blob that was published");
        same(new TextDecoder().decode(await reader.read(0, 4)), "text", "content");
        await Promise.all([reader.close(), reader.close()]);
        await reader.close();
      }
    },

    "a body that fails fails its write with its own error": async (backend) => {
      const reason = new Error("the body failed");
      const body = async function* () {
        yield encode("half");
        await Promise.resolve();
        throw reason;
      };
      const stage = await backend.stage(GROUP);
      const error = await failure(stage.write("x", body()), "a write whose body fails");
      check(error === reason || (error as Error).cause === reason, `expected the body's error, found ${error}`);
      await stage.abandon();
      const other = await backend.stage(BLOB);
      const otherError = await failure(other.publish("", body()), "publishing a body that fails");
      check(otherError === reason || (otherError as Error).cause === reason, `expected its error, found ${otherError}`);
      await other.abandon();
      same(await textOf(backend, BLOB), undefined, "the half-written blob");
    },
  };
}
