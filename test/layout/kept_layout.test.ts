// How copies lie: as their source, unless the caller or the target's suffix says otherwise.
import { execFileSync } from "node:child_process";
import path from "node:path";
import { locate, type SnapshotLocator, StateStore, type StateStoreOptions } from "snapkeep";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../store/places.ts";
import { Files } from "../store/states.ts";

async function saved(options: StateStoreOptions): Promise<SnapshotLocator> {
  const store = new StateStore(await temporaryFolder(), { durability: "none", ...options });
  return await store.register("a", new Files({ "x.txt": "hello" })).saveState();
}

async function into(options: StateStoreOptions = {}): Promise<StateStore> {
  return new StateStore(await temporaryFolder(), { durability: "none", ...options });
}

const endOf = (snapshot: SnapshotLocator) => /\.state(.*)$/.exec(String(snapshot))?.[1];

describe("exportTo", () => {
  it("keeps the layout of the source when the target is a folder", async () => {
    const folder = `${await temporaryFolder()}/`;
    const [directory, archive] = [await saved({}), await saved({ layout: "tar.gz" })];
    expect(endOf(await directory.exportTo(folder))).toBe("");
    expect(endOf(await archive.exportTo(folder))).toBe(".tar.gz");
    const plain = await archive.exportTo(path.join(folder, "plain.state.tar"));
    expect(endOf(await plain.exportTo(path.join(folder, "more/")))).toBe(".tar");
  });

  it("does as the options say when the target is a folder", async () => {
    const archive = await saved({ layout: "tar.gz" });
    expect(endOf(await archive.exportTo(`${await temporaryFolder()}/`, { layout: "directory" }))).toBe("");
    expect(endOf(await archive.exportTo(`${await temporaryFolder()}/`, { layout: "tar" }))).toBe(".tar");
    const directory = await saved({});
    expect(endOf(await directory.exportTo(`${await temporaryFolder()}/`, { layout: "tar.gz" }))).toBe(".tar.gz");
    expect(endOf(await directory.exportTo(`${await temporaryFolder()}/`, { layout: "tar" }))).toBe(".tar");
  });

  it("does as the target's suffix says, whatever the source", async () => {
    const folder = await temporaryFolder();
    const archive = await saved({ layout: "tar.gz" });
    expect((await archive.exportTo(path.join(folder, "a.state"))).layout).toBe("directory");
    expect((await (await saved({})).exportTo(path.join(folder, "b.state.tar.gz"))).layout).toBe("tar.gz");
    expect(endOf(await archive.exportTo(path.join(folder, "c.state.tar")))).toBe(".tar");
  });
});

describe("stream", () => {
  it("keeps the layout of an archive when its labels were changed since it was saved", async () => {
    const plain = await (await saved({})).exportTo(path.join(await temporaryFolder(), "plain.state.tar"));
    await plain.label({ tags: ["good"] });
    const bytes = new Uint8Array(await new Response(plain.stream()).arrayBuffer());
    expect(new TextDecoder().decode(bytes.subarray(0, 7))).toBe("a/x.txt"); // no compression
  });
});

describe("importSnapshot", () => {
  it("keeps the layout of the source, whatever the store's own", async () => {
    const [directory, archive] = [await saved({}), await saved({ layout: "tar.gz" })];
    expect(endOf(await (await into({ layout: "tar.gz" })).importSnapshot(directory))).toBe("");
    expect(endOf(await (await into()).importSnapshot(archive))).toBe(".tar.gz");
    expect(endOf(await (await into()).importSnapshot(String(archive)))).toBe(".tar.gz");
    expect(endOf(await (await into()).importSnapshot(archive.stream()))).toBe(".tar.gz");
  });

  it("takes the store's layout when the source is a plain tar", async () => {
    const archive = await saved({ layout: "tar.gz" });
    const plain = await archive.exportTo(path.join(await temporaryFolder(), "plain.state.tar"));
    expect(endOf(await (await into()).importSnapshot(plain))).toBe("");
    expect(endOf(await (await into({ layout: "tar.gz" })).importSnapshot(plain))).toBe(".tar.gz");
    expect(endOf(await (await into()).importSnapshot(plain.stream()))).toBe("");
  });

  it("goes by what an archive is, not by its name or its maker", async () => {
    const directory = await saved({});
    const file = path.join(await temporaryFolder(), "made.tgz");
    execFileSync("tar", ["-czf", file, "-C", String(directory), "."]);
    expect(endOf(await (await into()).importSnapshot(file))).toBe(".tar.gz");
    expect((await locate(file).stat()).states).toBe(1);
  });

  it("does as the options say", async () => {
    const [directory, archive] = [await saved({}), await saved({ layout: "tar.gz" })];
    expect(endOf(await (await into()).importSnapshot(directory, { layout: "tar.gz" }))).toBe(".tar.gz");
    expect(endOf(await (await into({ layout: "tar.gz" })).importSnapshot(archive, { layout: "directory" }))).toBe("");
  });
});
