// Messages, warnings and errors write every address in one form: `showAddress` quotes it, turns a `file:` URI into a path, and leaves
// out the slash at its end. Log records are data for LogTape: their placeholders stand in single quotes, as pamiq-core's.
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { fileBackend, isSnapshotError, locate, memoryBackend, SnapshotError, StateStore } from "../../mod.ts";
import { showAddress } from "../../src/model/address.ts";
import { root } from "../../tools/run.mjs";
import { runtime } from "../torture/budget.ts";

/** What an address is called in the sources; below `src/file`, a `path` is one too. */
const ADDRESS = /(?:^|[.#])(?:uri|url|address|shown|root|folder|locator|target|finalPath)$|^this$/;
const FILE_ADDRESS = /^(?:\w+\.)?path$/;
const CONVERTED = /^(?:addressOf|pathOfUri|shownUrl|uriOfUnit)\(|^String\((?:this|locator|snapshot)\)$/;

/** Places in a source that write an address in a form of their own. */
function otherForms(name: string, text: string): string[] {
  const source = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isTemplateExpression(node) && /[a-z]\S*\s|\s\S*[a-z]/i.test(literalsOf(node))) {
      if (node.head.text === "SnapshotLocator <") return; // how a console shows it
      for (const { expression } of node.templateSpans) {
        const written = expression.getText(source);
        const isAddress = ADDRESS.test(written) || CONVERTED.test(written) ||
          name.startsWith("src/file/") && FILE_ADDRESS.test(written);
        if (isAddress) found.push(`${name}: \${${written}}`);
      }
    }
    if (ts.isStringLiteralLike(node)) {
      for (const [placeholder] of node.text.matchAll(/"\{\w+\}"/g)) found.push(`${name}: ${placeholder}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const literalsOf = ({ head, templateSpans }: ts.TemplateExpression): string =>
  [head.text, ...templateSpans.map(({ literal }) => literal.text)].join("\0");

describe.skipIf(runtime !== "node")("an address in a message", () => {
  it("has one form in all sources", async () => {
    const found: string[] = [];
    for (const file of await readdir(path.join(root, "src"), { recursive: true })) {
      const name = `src/${file.split(path.sep).join("/")}`;
      if (!name.endsWith(".ts") || name.startsWith("src/testing/")) continue;
      found.push(...otherForms(name, await readFile(path.join(root, name), "utf8")));
    }
    expect(found).toEqual([]);
  });

  it.each([
    ["in quotes of its own", 'throw new Error(`Cannot save to "${backend.uri}": it is full`);', "${backend.uri}"],
    ["in single quotes", "throw new Error(`Not resumed from '${address}': it is damaged`);", "${address}"],
    ["without quotes", "throw new Error(`Cannot save at ${this.#uri}`);", "${this.#uri}"],
    ["as a locator's text", 'throw new Error(`Cannot open "${this}": there is none`);', "${this}"],
    ["converted on the spot", 'warn(`Cannot open "${addressOf(uri)}": there is none`);', "${addressOf(uri)}"],
    ["in a log message", "log.warn('Removed: \"{snapshot}\"', { snapshot });", '"{snapshot}"'],
  ])("is found %s", (_form, text, found) => {
    expect(otherForms("src/store/a.ts", text)).toEqual([`src/store/a.ts: ${found}`]);
  });

  it("may be an entry's path or a name in quotes, or a part of another address", () => {
    const text =
      'throw new Error(`Cannot read "${path}" of the state "${name}" in ${showAddress(uri)}`); at(`${uri}/${name}`);';
    expect(otherForms("src/store/a.ts", text)).toEqual([]);
    expect(otherForms("src/file/a.ts", "throw new Error(`Cannot read ${path} now`);")).toHaveLength(1);
  });
});

describe("showAddress", () => {
  it.each([
    ["a snapshot", "file:///srv/states/x.state/", "/srv/states/x.state"],
    ["an archive", "file:///srv/my%20states/x.state.tar.gz", "/srv/my states/x.state.tar.gz"],
    ["a folder", "file:///srv/states/", "/srv/states"],
    ["a path", "/srv/states/", "/srv/states"],
    ["a server's", "https://example.org/x.state.tar.gz", "https://example.org/x.state.tar.gz"],
    ["memory", "memory:1/x.state/", "memory:1/x.state"],
    ["a file: URI that is none", "file://%zz", "file://%zz"],
  ])("quotes the address of %s", (_what, uri, shown) => {
    if (process.platform === "win32" && shown.startsWith("/")) return;
    expect(showAddress(uri)).toBe(`"${shown}"`);
    expect(new SnapshotError("SNAPSHOT_GONE", "Cannot read it", { uri }).details.uri).toBe(uri); // data stays as it is
  });

  it.each([
    ["a folder", (folder: string) => fileBackend(folder)],
    ["memory", () => memoryBackend()],
  ])("is what errors of %s write", async (_where, backendIn) => {
    const backend = backendIn(path.resolve("no", "such folder"));
    for (const name of ["x.state", "x.state.tar.gz"]) {
      const snapshot = locate(backend, name);
      for (const fail of [() => snapshot.open(), () => new StateStore(backend).loadState(snapshot)]) {
        const error: unknown = await fail().then(() => undefined, (reason: unknown) => reason);
        if (!isSnapshotError(error, "SNAPSHOT_NOT_FOUND")) throw error;
        expect(error.details.uri.replace(/\/$/, "")).toBe(snapshot.uri);
        expect(error.message).toContain(` "${snapshot}": `);
      }
    }
  });
});
