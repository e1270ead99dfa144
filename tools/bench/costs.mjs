// What an archive of ours is made of, read from its own footer and table.
import { open, stat } from "node:fs/promises";
import { gunzipSync } from "node:zlib";

const FOOTER_BYTES = 51;

/**
 * @param {string} ours An eStargz archive.
 * @param {string} plain The same entries through `tar | gzip -6`, as one stream.
 */
export async function costsOf(ours, plain) {
  const { size: fileBytes } = await stat(ours);
  const handle = await open(ours, "r");
  try {
    const footer = Buffer.alloc(FOOTER_BYTES);
    await handle.read(footer, 0, FOOTER_BYTES, fileBytes - FOOTER_BYTES);
    const tableOffset = Number.parseInt(footer.toString("latin1", 16, 32), 16);
    const packed = Buffer.alloc(fileBytes - FOOTER_BYTES - tableOffset);
    await handle.read(packed, 0, packed.length, tableOffset);
    const tar = gunzipSync(packed);
    const tableBytes = Number.parseInt(tar.toString("latin1", 124, 135), 8);
    const { entries } = JSON.parse(tar.toString("utf8", 512, 512 + tableBytes));
    const manifestOffset = entries.find(({ name }) => name === "manifest.json").offset;
    return {
      entries: new Set(entries.map(({ name }) => name)).size - 1,
      members: new Set(entries.map(({ offset }) => offset)).size - 1,
      fileBytes,
      payloadBytes: manifestOffset,
      manifestBytes: tableOffset - manifestOffset,
      tableBytes: packed.length,
      footerBytes: FOOTER_BYTES,
      plainBytes: (await stat(plain)).size,
    };
  } finally {
    await handle.close();
  }
}
