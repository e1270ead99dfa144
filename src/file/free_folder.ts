// A folder that may hold snapshots is neither a snapshot nor inside one: what were saved there would be damage of that one, and
// would go with it.
import { closeSync, constants, openSync, readSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { FORMAT_NAME } from "../manifest/schema.ts";
import { showAddress } from "../model/address.ts";
import { MANIFEST_PATH, suffixOf } from "../model/unit.ts";

const HEAD_BYTES = 1024;
const OURS = new RegExp(`^\\s*\\{\\s*"format"\\s*:\\s*"${FORMAT_NAME}"`); // another program's manifest.json does not matter

/**
 * Throws if a folder is a snapshot, or lies inside one. Makes a few system calls, before it returns.
 *
 * @param root Absolute path of the folder, which may be missing.
 * @throws {TypeError} Names the snapshot and the folder to use instead. What cannot be looked at counts as no snapshot.
 */
export function assertNoSnapshot(root: string): void {
  if (suffixOf(basename(root)) !== undefined && !isA("Directory", root)) {
    throw refusal(root, "it is the name of an archive, and not of a folder", dirname(root));
  }
  for (let path = root; dirname(path) !== path; path = dirname(path)) {
    if (!isSnapshot(path)) continue;
    const reason = path === root ? "it is a snapshot itself" : `it lies inside the snapshot ${showAddress(path)}`;
    throw refusal(root, reason, dirname(path));
  }
}

function refusal(root: string, reason: string, instead: string): TypeError {
  return new TypeError(
    `Cannot keep snapshots in ${showAddress(root)}: ${reason}; use its parent folder ${showAddress(instead)}`,
  );
}

function isSnapshot(path: string): boolean {
  if (suffixOf(basename(path)) !== undefined && isA("File", path)) return true;
  const manifest = join(path, MANIFEST_PATH);
  if (!mayRead(manifest)) return false;
  try {
    const file = openSync(manifest, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a pipe would have it wait
    try {
      const head = new Uint8Array(HEAD_BYTES);
      const lengthBytes = readSync(file, head, 0, HEAD_BYTES, 0);
      return OURS.test(new TextDecoder().decode(head.subarray(0, lengthBytes)));
    } finally {
      closeSync(file);
    }
  } catch {
    return false;
  }
}

function isA(kind: "File" | "Directory", path: string): boolean {
  if (!mayRead(path)) return false;
  try {
    return statSync(path)[`is${kind}`]();
  } catch {
    return false;
  }
}

/** Whether the runtime lets the program look; Deno would interrupt its user for what it does not, and this is not worth it. */
function mayRead(path: string): boolean {
  const { Deno } = globalThis as { Deno?: { permissions: { querySync(what: object): { state: string } } } };
  return Deno === undefined || Deno.permissions.querySync({ name: "read", path }).state === "granted";
}
