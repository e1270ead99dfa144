// Decoding tars that anybody made: the guard checks, tar-stream decodes behind it. The only file that knows tar-stream.
import { Readable } from "node:stream";
import { type ArchiveLimits, TarGuard } from "./tar_guard.ts";

/** A file of a tar; its body must be read to the end before the next is asked for. */
export interface TarFile {
  /** Path within the archive, without a leading `./`. */
  readonly path: string;
  /** Size in bytes. */
  readonly sizeBytes: number;
  /** The payload. */
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * The files of a tar, in order; folders are left out.
 *
 * @param source The uncompressed tar.
 * @param uri Address, for errors.
 * @param limits What must not be exceeded.
 * @throws {SnapshotError} `ARCHIVE_REJECTED`.
 */
export async function* decodeTar(
  source: AsyncIterable<Uint8Array>,
  uri: string,
  limits?: ArchiveLimits,
): AsyncGenerator<TarFile, void> {
  const { extract } = await import("tar-stream"); // only where it is needed: archives with a table are read without it
  const guarded = Readable.from(new TarGuard(uri, limits).check(source), { objectMode: true, highWaterMark: 1 });
  // v7 has no magic. The types of tar-stream lack the option.
  const decoder = extract({ allowUnknownFormat: true } as Parameters<typeof extract>[0]);
  let failure: { readonly error: unknown } | undefined;
  guarded.on("error", (error) => {
    failure = { error }; // the guard's verdict is the one to tell, not what the decoder makes of a broken stream
    decoder.destroy(error);
  });
  guarded.pipe(decoder as unknown as NodeJS.WritableStream);
  try {
    for await (const entry of decoder) {
      const { name, type, size } = entry.header;
      // Of a folder in the old way, tar-stream says that it is a file; the guard lets no file have such a name.
      if (type === "directory" || name.endsWith("/")) {
        entry.resume();
        continue;
      }
      yield {
        path: name.replace(/^(?:\.\/)+/, ""),
        sizeBytes: size ?? 0,
        body: entry as unknown as AsyncIterable<Uint8Array>,
      };
    }
  } catch (error) {
    throw failure === undefined ? error : failure.error;
  } finally {
    guarded.destroy();
    decoder.destroy();
  }
  if (failure !== undefined) throw failure.error;
}
