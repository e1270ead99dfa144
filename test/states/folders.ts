// Folders to save in tests, and what they hold.
import { chmod, lstat, mkdir, readdir, readFile, readlink, symlink, writeFile } from "node:fs/promises";
import path from "node:path";

/** What to put into a folder: text for a file, `null` for an empty folder, `{ to }` for a link, `{ run }` for an executable. */
export type Tree = Readonly<Record<string, string | Uint8Array | null | { to: string } | { run: string }>>;

/** Makes files below a folder. */
export async function grow(root: string, tree: Tree): Promise<void> {
  for (const [name, what] of Object.entries(tree)) {
    const full = path.join(root, name);
    await mkdir(what === null ? full : path.dirname(full), { recursive: true });
    if (what === null) continue;
    if (typeof what === "string" || what instanceof Uint8Array) await writeFile(full, what);
    else if ("to" in what) await symlink(what.to, full);
    else {
      await writeFile(full, what.run);
      await chmod(full, 0o755);
    }
  }
}

/** All that lies below a folder, as `grow` takes it; folders that hold something are left out. */
export async function grown(root: string, below = ""): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  const names = (await readdir(path.join(root, below))).sort();
  if (names.length === 0 && below !== "") found[below] = null;
  for (const name of names) {
    const here = below === "" ? name : `${below}/${name}`;
    const stat = await lstat(path.join(root, here));
    if (stat.isDirectory()) Object.assign(found, await grown(root, here));
    else if (stat.isSymbolicLink()) found[here] = { to: await readlink(path.join(root, here)) };
    else if (!stat.isFile()) found[here] = "special";
    else {
      const text = await readFile(path.join(root, here), "utf8");
      found[here] = (stat.mode & 0o100) !== 0 ? { run: text } : text;
    }
  }
  return found;
}
