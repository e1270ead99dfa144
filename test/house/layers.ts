// Reads a tree of sources and tells where it breaks the laws of the house: data flows one way, from the edges down to
// the model. Pure: a tree in, findings out, so that the laws themselves can be tested on small false trees.
import path from "node:path";
import ts from "typescript";

/** Contents by path below the root, with forward slashes. */
export type Tree = ReadonlyMap<string, string>;

/** From low to high. A file imports from lower floors and from its own folder. */
const floors: readonly (readonly string[])[] = [
  ["src/model"],
  ["src/runtime"],
  ["src/compression", "src/manifest"],
  ["src/archive", "src/backend", "src/file", "src/s3"],
  ["src/layout"],
  ["src/snapshot"],
  ["src/store"],
  ["src/retention", "src/states"],
  ["src/autosave"],
  ["mod.ts", "src/testing", "src/cli", "src/bin.ts"],
];
const edges = floors.length - 1;

/** Imports across one floor. The bin is a file of its own only because it must run when it is loaded. */
const across = new Map([["src/bin.ts", "src/cli"]]);

/** Folder names that say what kind of thing lies there, not what it is for. */
const vague = new Set(["utils", "util", "types", "helpers", "common", "lib", "misc", "shared"]);

/** Built-ins that are a choice, as a package is. */
const guarded = new Set(["node:zlib", "node:crypto", "node:timers", "node:perf_hooks", "node:async_hooks"]);

/** What reads snapshots, wherever they lie: a program that only reads must not take the file system with it. */
const readers = [
  "src/snapshot/snapshot_reader.ts",
  "src/archive/archive_reader.ts",
  "src/backend/http_backend.ts",
];
const fileSystem = /^(?:src\/file\/.*|node:fs(?:\/.*)?)$/;

interface File {
  readonly imports: readonly string[];
  /** Those that are loaded with the file: no types, nothing that is imported while it runs. */
  readonly eager: readonly string[];
  readonly hasDefault: boolean;
}

/** Finds every breach of the laws, in the order of the files. */
export function breaches(tree: Tree): string[] {
  const files = new Map([...tree].map(([name, text]) => [name, read(name, text)]));
  return [
    ...[...files].flatMap((
      [name, file],
    ) => [...manners(name, file, tree.get(name) ?? ""), ...directions(name, file, tree)]),
    ...sharedPackages(files),
    ...fileSystems(files),
    ...cycles(files),
  ];
}

/** Names the packages that the sources import, without subpaths and built-ins. */
export function packages(tree: Tree): string[] {
  const found = [...tree].flatMap(([name, text]) => read(name, text).imports).filter(isPackage).map(packageOf);
  return [...new Set(found)].sort();
}

/** Lists the files and modules that are loaded with a file: itself, and all that it imports statically, except types. */
export function loadedWith(tree: Tree, name: string): string[] {
  return [...reach((file) => read(file, tree.get(file) ?? "").eager, name)].sort();
}

type EagerOf = (name: string) => readonly string[];

function reach(eagerOf: EagerOf, name: string, seen: Set<string> = new Set()): Set<string> {
  seen.add(name);
  for (const specifier of eagerOf(name)) {
    const target = specifier.startsWith(".") ? resolve(name, specifier) : specifier;
    if (!seen.has(target)) reach(eagerOf, target, seen);
  }
  return seen;
}

function fileSystems(files: ReadonlyMap<string, File>): string[] {
  const direct = [...files].filter(([name]) => !name.startsWith("src/file/")).flatMap(([name, { eager }]) =>
    eager.filter((specifier) => specifier.startsWith("node:fs")).map((specifier) =>
      `${name}: imports ${specifier}, which only src/file may`
    )
  );
  const loaded = readers.filter((name) => files.has(name)).flatMap((name) =>
    [...reach((file) => files.get(file)?.eager ?? [], name)].filter((target) => fileSystem.test(target)).map((target) =>
      `${name}: loads ${target}, but readers do without the file system`
    )
  );
  return [...direct, ...loaded];
}

function read(name: string, text: string): File {
  const source = ts.createSourceFile(name, text, ts.ScriptTarget.ESNext, true);
  const imports: string[] = [];
  const eager: string[] = [];
  let hasDefault = false;
  const visit = (node: ts.Node): void => {
    const specifier = specifierOf(node);
    if (specifier !== undefined) imports.push(specifier);
    if (specifier !== undefined && isEager(node)) eager.push(specifier);
    if (ts.isExportAssignment(node)) hasDefault = true;
    if (ts.isExportSpecifier(node) && node.name.text === "default") hasDefault = true;
    if (ts.canHaveModifiers(node)) {
      hasDefault ||= ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword) ?? false;
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { imports, eager, hasDefault };
}

/** Whether the runtime loads what a node imports together with the file. */
function isEager(node: ts.Node): boolean {
  if (ts.isImportDeclaration(node)) return node.importClause?.phaseModifier !== ts.SyntaxKind.TypeKeyword;
  return ts.isExportDeclaration(node) && !node.isTypeOnly;
}

function specifierOf(node: ts.Node): string | undefined {
  let found: ts.Node | undefined;
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) found = node.moduleSpecifier;
  else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) found = node.arguments[0];
  else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) found = node.argument.literal;
  return found && ts.isStringLiteralLike(found) ? found.text : undefined;
}

function manners(name: string, file: File, text: string): string[] {
  const found: string[] = [];
  const parts = name.split("/");
  if (placeOf(name) === undefined) found.push(`${name}: lies on no floor`);
  if (file.hasDefault) found.push(`${name}: has a default export`);
  if (!/^\s*(\/\/|\/\*)/.test(text)) found.push(`${name}: does not open with a comment`);
  for (const part of parts.slice(0, -1)) if (vague.has(part)) found.push(`${name}: a folder is named "${part}"`);
  for (const part of parts) {
    if (!/^[a-z0-9]+(_[a-z0-9]+)*(\.ts)?$/.test(part)) found.push(`${name}: "${part}" is not in snake_case`);
  }
  return found;
}

function directions(name: string, file: File, tree: Tree): string[] {
  const from = placeOf(name);
  return file.imports.flatMap((specifier) => {
    if (!specifier.startsWith(".")) {
      return ts.isExternalModuleNameRelative(specifier) || specifier.startsWith("/") || specifier.includes("://")
        ? [`${name}: imports "${specifier}" by an absolute path`]
        : [];
    }
    const target = resolve(name, specifier);
    if (!tree.has(target)) return [`${name}: imports "${specifier}", which is no file of the sources`];
    const to = placeOf(target);
    if (!from || !to || from.folder === to.folder || across.get(from.folder) === to.folder) return [];
    if (to.floor === edges) return [`${name}: imports ${target}, but the edges must not be imported`];
    if (to.floor > from.floor) return [`${name}: imports ${target} from a higher floor`];
    if (to.floor === from.floor) return [`${name}: imports ${target} from another folder of its floor`];
    return [];
  });
}

function sharedPackages(files: ReadonlyMap<string, File>): string[] {
  const importers = new Map<string, Set<string>>();
  for (const [name, { imports }] of files) {
    for (const specifier of imports) {
      if (!isPackage(specifier) && !guarded.has(specifier)) continue;
      const key = packageOf(specifier);
      importers.set(key, (importers.get(key) ?? new Set()).add(name));
    }
  }
  return [...importers].filter(([, names]) => names.size > 1)
    .map(([key, names]) => `${key} is imported by more than one file: ${[...names].join(", ")}`);
}

function cycles(files: ReadonlyMap<string, File>): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const walk = (name: string, trail: readonly string[]): void => {
    const at = trail.indexOf(name);
    if (at >= 0) found.push(`import cycle: ${[...trail.slice(at), name].join(" -> ")}`);
    if (at >= 0 || done.has(name)) return;
    for (const specifier of files.get(name)?.imports ?? []) {
      if (specifier.startsWith(".")) walk(resolve(name, specifier), [...trail, name]);
    }
    done.add(name);
  };
  for (const name of files.keys()) walk(name, []);
  return found;
}

function placeOf(name: string): { floor: number; folder: string } | undefined {
  for (const [floor, folders] of floors.entries()) {
    const folder = folders.find((folder) => name === folder || name.startsWith(`${folder}/`));
    if (folder !== undefined) return { floor, folder };
  }
  return undefined;
}

function resolve(name: string, specifier: string): string {
  return path.posix.join(path.posix.dirname(name), specifier);
}

function isPackage(specifier: string): boolean {
  return !/^[./]|:/.test(specifier);
}

function packageOf(specifier: string): string {
  return specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
}
