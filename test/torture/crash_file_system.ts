// A file system in memory that forgets as disks do. What is written reaches the disk only by a sync of that file, an entry of
// a folder only by a sync of that folder; until then each may be there after a crash or not, in any combination. Only a
// rename is one step: both its names change, or none. A file that was not synced may hold anything.
import { Buffer } from "node:buffer";
import type { FileStat, FileSystem, OpenFile } from "../../src/file/file_system.ts";
import { storageError } from "../../src/model/errors.ts";

/** All that is on a disk: files as bytes and folders as `null`, by absolute path. */
export type Tree = ReadonlyMap<string, Uint8Array | null>;

type Node = FileNode | FolderNode;

let inodes = 0;

class FileNode {
  readonly inode = ++inodes;
  bytes: Uint8Array;
  durable: Uint8Array;
  modifiedAtMs = Date.now();

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.durable = bytes;
  }
}

class FolderNode {
  readonly inode = ++inodes;
  readonly entries = new Map<string, Node>();
  readonly durable = new Map<string, Node>();
  modifiedAtMs = Date.now();
}

/** Names that get another meaning in one step. */
interface Change {
  parts: { readonly folder: FolderNode; readonly name: string; readonly node: Node | undefined }[];
}

const NOTHING = new Uint8Array(0);
const TOKEN = /[0-9a-f]{16}/g;

/** A source of numbers below one, the same in every run. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const garbled = new WeakMap<Uint8Array, Uint8Array[]>();

/** What a file that was not synced may hold after a crash, the bytes themselves first. */
function remainsOf({ bytes, durable }: FileNode): readonly Uint8Array[] {
  if (durable.length > 0 && bytes.length > durable.length && startsWith(bytes, durable)) {
    // What was appended may be lost or garbled; what was synced before it stays.
    const appended = new FileNode(bytes.subarray(durable.length));
    appended.durable = NOTHING;
    return remainsOf(appended).map((rest) => joined(durable, rest));
  }
  let found = garbled.get(bytes);
  if (found === undefined) {
    const half = bytes.length >> 1;
    const noise = bytes.slice();
    for (let at = half; at < noise.length; at++) noise[at] = (noise[at] ?? 0) ^ (at * 37 + 101);
    found = [bytes, NOTHING, bytes.slice(0, half), bytes.slice(0, -1), new Uint8Array(bytes.length), noise];
    garbled.set(bytes, found);
  }
  return durable.length === 0 ? found : [...found, durable];
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return Buffer.compare(bytes.subarray(0, start.length), start) === 0;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}

class CrashFile implements OpenFile {
  readonly #node: FileNode;
  readonly #path: string;
  readonly #call: (operation: string, path: string) => void;
  readonly #appends: boolean;

  constructor(node: FileNode, path: string, call: (operation: string, path: string) => void, appends = false) {
    this.#appends = appends;
    this.#node = node;
    this.#path = path;
    this.#call = call;
  }

  read(target: Uint8Array, position: number): Promise<number> {
    const source = this.#node.bytes.subarray(position, position + target.length);
    target.set(source);
    return Promise.resolve(source.length);
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    this.#call("write", this.#path);
    const { bytes: before } = this.#node;
    const at = this.#appends ? before.length : position;
    const grown = new Uint8Array(Math.max(before.length, at + bytes.length));
    grown.set(before);
    grown.set(bytes, at);
    this.#node.bytes = grown;
    this.#node.modifiedAtMs = Date.now();
    return Promise.resolve();
  }

  sizeBytes(): Promise<number> {
    return Promise.resolve(this.#node.bytes.length);
  }

  identity(): Promise<string> {
    return Promise.resolve(`1:${this.#node.inode}`);
  }

  sync(): Promise<void> {
    this.#call("sync", this.#path);
    this.#node.durable = this.#node.bytes;
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#call("close", this.#path);
    return Promise.resolve();
  }
}

function fail(errno: string, operation: string, path: string): never {
  throw storageError(operation, path, Object.assign(new Error(`${errno}: ${operation} "${path}"`), { code: errno }));
}

/** The file system; POSIX paths. */
export class CrashFileSystem implements FileSystem {
  /** Told before every call that changes something. */
  onCall: ((operation: string, path: string) => void) | undefined;
  #root = new FolderNode();
  #pending: Change[] = [];
  readonly #tokens = new Map<string, string>();

  /** A disk after a restart: all that is on it is durable. */
  static of(tree: Tree): CrashFileSystem {
    const system = new CrashFileSystem();
    for (const [path, bytes] of [...tree].sort(([a], [b]) => a < b ? -1 : 1)) {
      const { folder, name } = system.#parentOf("restore", path);
      const node = bytes === null ? new FolderNode() : new FileNode(bytes);
      folder.entries.set(name, node);
      folder.durable.set(name, node);
    }
    return system;
  }

  /** The same machine seen by another program, after the one that ran was killed: nothing became durable by that. */
  fork(): CrashFileSystem {
    const copies = new Map<Node, Node>();
    const copy = (node: Node): Node => {
      const known = copies.get(node);
      if (known !== undefined) return known;
      if (node instanceof FileNode) {
        const file = new FileNode(node.bytes);
        file.durable = node.durable;
        copies.set(node, file);
        return file;
      }
      const folder = new FolderNode();
      copies.set(node, folder);
      for (const [name, child] of node.entries) folder.entries.set(name, copy(child));
      for (const [name, child] of node.durable) folder.durable.set(name, copy(child));
      return folder;
    };
    const forked = new CrashFileSystem();
    forked.#root = copy(this.#root) as FolderNode;
    forked.#pending = this.#pending.map(({ parts }) => ({
      parts: parts.map(({ folder, name, node }) => ({
        folder: copy(folder) as FolderNode,
        name,
        node: node === undefined ? undefined : copy(node),
      })),
    }));
    for (const [token, short] of this.#tokens) forked.#tokens.set(token, short);
    return forked;
  }

  /** All that programs see now. */
  tree(): Tree {
    return this.#collect((folder) => folder.entries, (file) => file.bytes);
  }

  /** Where a path's random parts are the same in every run. */
  normalised(path: string): string {
    return path.replaceAll(TOKEN, (token) => this.#tokens.get(token) ?? token);
  }

  /**
   * What a crash at this moment may leave: all that may be where the choices are few, else some of it, drawn by `random`;
   * always the least and the most of it.
   */
  *survivors(random: () => number, samples: number, exhaustiveUpTo = 4096): Generator<Tree, void> {
    const reachable = this.#reachable();
    const changes = this.#pending.filter(({ parts }) => parts.some(({ folder }) => reachable.has(folder)));
    const dirty = [...reachable].filter((node): node is FileNode =>
      node instanceof FileNode && node.bytes !== node.durable
    );
    const options = [...changes.map(() => 2), ...dirty.map((file) => remainsOf(file).length)];
    const combinations = options.reduce((product, count) => product * count, 1);
    if (combinations <= exhaustiveUpTo) {
      for (let index = 0; index < combinations; index++) {
        let rest = index;
        yield this.#survivor(
          changes,
          dirty,
          options.map((count) => {
            const choice = rest % count;
            rest = Math.floor(rest / count);
            return choice;
          }),
        );
      }
      return;
    }
    yield this.#survivor(changes, dirty, options.map(() => 0));
    yield this.#survivor(changes, dirty, options.map((_, index) => index < changes.length ? 1 : 0));
    for (let sample = 0; sample < samples; sample++) {
      // Mostly there, mostly gone, or both alike: what is lost alone is lost most often in practice.
      const bias = [0.15, 0.5, 0.85][sample % 3] ?? 0.5;
      yield this.#survivor(
        changes,
        dirty,
        options.map((count, index) => index < changes.length ? Number(random() < bias) : Math.floor(random() * count)),
        random,
      );
    }
  }

  #survivor(changes: readonly Change[], dirty: readonly FileNode[], choices: number[], random?: () => number): Tree {
    const folders = new Map<FolderNode, Map<string, Node>>();
    for (const [index, { parts }] of changes.entries()) {
      if (choices[index] === 0) continue;
      for (const { folder, name, node } of parts) {
        const entries = folders.get(folder) ?? new Map(folder.durable);
        folders.set(folder, entries);
        if (node === undefined) entries.delete(name);
        else entries.set(name, node);
      }
    }
    const contents = new Map<FileNode, Uint8Array>();
    for (const [index, file] of dirty.entries()) {
      const choice = choices[changes.length + index] ?? 0;
      // Where trees are drawn, so are the places at which files are cut.
      const isCut = choice === 2 && random !== undefined;
      const remains = isCut
        ? file.bytes.subarray(0, Math.floor(random() * file.bytes.length))
        : remainsOf(file)[choice] ?? NOTHING;
      contents.set(file, remains);
    }
    return this.#collect((folder) => folders.get(folder) ?? folder.durable, (file) => contents.get(file) ?? file.bytes);
  }

  #collect(
    entriesOf: (folder: FolderNode) => ReadonlyMap<string, Node>,
    bytesOf: (file: FileNode) => Uint8Array,
  ): Tree {
    const tree = new Map<string, Uint8Array | null>();
    const walk = (folder: FolderNode, path: string): void => {
      for (const [name, node] of entriesOf(folder)) {
        tree.set(`${path}/${name}`, node instanceof FileNode ? bytesOf(node) : null);
        if (node instanceof FolderNode) walk(node, `${path}/${name}`);
      }
    };
    walk(this.#root, "");
    return tree;
  }

  #reachable(): Set<Node> {
    const seen = new Set<Node>();
    const changes = new Map<FolderNode, Node[]>();
    for (const { folder, node } of this.#pending.flatMap(({ parts }) => parts)) {
      if (node !== undefined) changes.set(folder, [...changes.get(folder) ?? [], node]);
    }
    const walk = (node: Node): void => {
      if (seen.has(node)) return;
      seen.add(node);
      if (node instanceof FileNode) return;
      for (const child of [...node.durable.values(), ...changes.get(node) ?? []]) walk(child);
    };
    walk(this.#root);
    return seen;
  }

  #call = (operation: string, path: string): void => {
    for (const token of path.match(TOKEN) ?? []) {
      if (!this.#tokens.has(token)) this.#tokens.set(token, `token${this.#tokens.size}`);
    }
    this.onCall?.(operation, path);
  };

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of path.split("/").filter((part) => part !== "")) {
      node = node instanceof FolderNode ? node.entries.get(name) : undefined;
    }
    return node;
  }

  #parentOf(operation: string, path: string): { folder: FolderNode; name: string } {
    const at = path.lastIndexOf("/");
    const folder = this.#find(path.slice(0, at));
    if (folder === undefined) fail("ENOENT", operation, path);
    if (folder instanceof FileNode) fail("ENOTDIR", operation, path);
    return { folder, name: path.slice(at + 1) };
  }

  #change(...parts: Change["parts"]): void {
    for (const { folder, name, node } of parts) {
      if (node === undefined) folder.entries.delete(name);
      else folder.entries.set(name, node);
      folder.modifiedAtMs = Date.now();
    }
    this.#pending.push({ parts });
  }

  async create(path: string): Promise<OpenFile> {
    this.#call("create", path);
    const { folder, name } = this.#parentOf("create", path);
    if (folder.entries.has(name)) fail("EEXIST", "create", path);
    const node = new FileNode(NOTHING);
    this.#change({ folder, name, node });
    return new CrashFile(node, path, this.#call);
  }

  async open(path: string): Promise<OpenFile> {
    const node = this.#find(path);
    if (node === undefined) fail("ENOENT", "open", path);
    if (node instanceof FolderNode) fail("EISDIR", "open", path);
    return new CrashFile(node, path, () => {});
  }

  async openToAppend(path: string): Promise<OpenFile> {
    const found = this.#find(path);
    if (found instanceof FolderNode) fail("EISDIR", "open", path);
    if (found !== undefined) return new CrashFile(found, path, this.#call, true);
    this.#call("create", path);
    const node = new FileNode(NOTHING);
    this.#change({ ...this.#parentOf("open", path), node });
    return new CrashFile(node, path, this.#call, true);
  }

  async makeFolder(path: string): Promise<void> {
    this.makeFolderNow(path);
  }

  makeFolderNow(path: string): void {
    this.#call("makeFolder", path);
    const { folder, name } = this.#parentOf("mkdir", path);
    if (folder.entries.has(name)) fail("EEXIST", "mkdir", path);
    this.#change({ folder, name, node: new FolderNode() });
  }

  async readFolder(path: string): Promise<string[]> {
    const node = this.#find(path);
    if (node === undefined) fail("ENOENT", "readdir", path);
    if (node instanceof FileNode) fail("ENOTDIR", "readdir", path);
    return [...node.entries.keys()];
  }

  async syncFolder(path: string): Promise<void> {
    this.#call("syncFolder", path);
    const synced = this.#find(path);
    if (synced === undefined) fail("ENOENT", "fsync", path);
    for (const change of this.#pending) {
      if (!change.parts.some(({ folder }) => folder === synced)) continue;
      // Where a file moves to another folder, a sync of the old one alone must not lose it.
      const isDeparture = change.parts.every(({ folder, node }) => folder !== synced || node === undefined);
      const done = isDeparture ? change.parts : change.parts.filter(({ folder }) => folder === synced);
      for (const { folder, name, node } of done) {
        if (node === undefined) folder.durable.delete(name);
        else folder.durable.set(name, node);
      }
      change.parts = change.parts.filter((part) => !done.includes(part));
    }
    this.#pending = this.#pending.filter(({ parts }) => parts.length > 0);
  }

  async stat(path: string): Promise<FileStat | undefined> {
    const node = this.#find(path);
    if (node === undefined) return undefined;
    const isFile = node instanceof FileNode;
    return {
      kind: isFile ? "file" : "folder",
      sizeBytes: isFile ? node.bytes.length : 0,
      modifiedAtMs: node.modifiedAtMs,
      identity: `1:${node.inode}`,
    };
  }

  async unlockFolder(path: string): Promise<void> {
    this.#call("unlockFolder", path);
    if (this.#find(path) === undefined) fail("ENOENT", "chmod", path);
  }

  async rename(from: string, to: string): Promise<void> {
    this.#call("rename", to);
    const source = this.#parentOf("rename", from);
    const target = this.#parentOf("rename", to);
    const node = source.folder.entries.get(source.name);
    if (node === undefined) fail("ENOENT", "rename", from);
    const there = target.folder.entries.get(target.name);
    if (there instanceof FolderNode && there.entries.size > 0) fail("ENOTEMPTY", "rename", to);
    if (there instanceof FolderNode && node instanceof FileNode) fail("EISDIR", "rename", to);
    if (there instanceof FileNode && node instanceof FolderNode) fail("ENOTDIR", "rename", to);
    this.#change({ ...source, node: undefined }, { ...target, node });
  }

  async link(from: string, to: string): Promise<void> {
    this.#call("link", to);
    const node = this.#find(from);
    if (node === undefined) fail("ENOENT", "link", from);
    const { folder, name } = this.#parentOf("link", to);
    if (folder.entries.has(name)) fail("EEXIST", "link", to);
    this.#change({ folder, name, node });
  }

  async removeFile(path: string): Promise<void> {
    this.#call("removeFile", path);
    const { folder, name } = this.#parentOf("unlink", path);
    const node = folder.entries.get(name);
    if (node === undefined) fail("ENOENT", "unlink", path);
    if (node instanceof FolderNode) fail("EISDIR", "unlink", path);
    this.#change({ folder, name, node: undefined });
  }

  async removeFolder(path: string): Promise<void> {
    this.#call("removeFolder", path);
    const { folder, name } = this.#parentOf("rmdir", path);
    const node = folder.entries.get(name);
    if (node === undefined) fail("ENOENT", "rmdir", path);
    if (node instanceof FileNode) fail("ENOTDIR", "rmdir", path);
    if (node.entries.size > 0) fail("ENOTEMPTY", "rmdir", path);
    this.#change({ folder, name, node: undefined });
  }

  async touch(path: string, atMs: number): Promise<void> {
    const node = this.#find(path);
    if (node === undefined) fail("ENOENT", "utimes", path);
    node.modifiedAtMs = atMs;
  }
}
