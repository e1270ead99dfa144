// What lies on an object store: hostile keys, what dead writers left, claims and notes of others.
import { CreateMultipartUploadCommand, DeleteObjectCommand, UploadPartCommand } from "@aws-sdk/client-s3";
import { describe, expect, it } from "vitest";
import type { SeenRequest } from "./fault_proxy.ts";
import { hasObjectStore, whereIs } from "./object_store.ts";
import { MIB, unitsOf, world } from "./world.ts";

const here = world();

describe.skipIf(!hasObjectStore)("s3Backend", () => {
  it("passes over keys that are no snapshots, and refuses unsafe ones", async () => {
    const strange = [
      "../up/manifest.json",
      "a/b/manifest.json",
      "logs/today.txt",
      "x.state//manifest.json",
      "readme.txt",
    ];
    const unsafe = ["nul/manifest.json", "a:b/manifest.json", " /manifest.json", "x\u0001.tar.gz", "é\u0301\u0000"];
    for (const key of [...strange, ...unsafe.slice(0, 4), "ok.state/manifest.json", "ok.state/../up", "ok.state/a/"]) {
      await here.put(key, key === "ok.state/a/" ? "" : "x").catch(() => {}); // the server may refuse it itself
    }
    const backend = here.backend();
    const units = await unitsOf(backend);
    expect(units).toEqual(["ok.state/"]);
    expect(await backend.open("ok.state/", "../up")).toBeUndefined();
    expect(await backend.open("ok.state/", "..")).toBeUndefined();
    const regular: string[] = [];
    for await (const { path, isRegular } of backend.blobs("ok.state/")) if (isRegular) regular.push(path);
    expect(regular).toEqual(["manifest.json"]);
  });

  it("sweeps what a dead writer left: its parts, its blobs, last its claim", async () => {
    const { Bucket, prefix } = whereIs(here.place);
    const claim = (unit: string) => JSON.stringify({ format: "snapkeep-claim", unit, purpose: "stage", id: "dead.1" });
    const upload = async (Key: string) => {
      const { UploadId } = await here.client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
      await here.client.send(
        new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: new Uint8Array(100) }),
      );
    };
    await here.put(".claims/1.state.json", claim("1.state/"));
    await here.put("1.state/a/b");
    await upload(`${prefix}1.state/a/big`);
    await here.put(".claims/2.state.json", claim("2.state.tar.gz"));
    await upload(`${prefix}2.state.tar.gz`);
    await here.put(".claims/3.state.json", claim("3.state/")); // committed: it counts for nothing
    await here.put("3.state/manifest.json");
    await here.put(".claims/4.state.json", "not a claim");
    await here.put(".claims/../evil.json", "not a claim");
    const backend = here.backend();
    expect(await backend.sweep(60_000)).toEqual([]);
    expect(await backend.sweep(0)).toEqual(["1.state/", "2.state.tar.gz"]);
    expect(await here.raw()).toEqual({ keys: [".claims/../evil.json", "3.state/manifest.json"], uploads: 0 });
  });

  it("fails with STAGE_LOST where another program has taken over the claim, and leaves nothing of its own", async () => {
    for (const unit of ["1.state/", "2.state.tar.gz"]) {
      const backend = here.backend({ partBytes: 5 * MIB });
      const stage = await backend.stage(unit);
      if (unit.endsWith("/")) await stage.write("a", [new Uint8Array(6 * MIB)]);
      await here.put(`.claims/${unit.replace("/", "").replace(".tar.gz", "")}.json`, "of another");
      const body = [new Uint8Array(11 * MIB)];
      const publishing = stage.publish(unit.endsWith("/") ? "manifest.json" : "", body);
      await expect(publishing).rejects.toMatchObject({ code: "STAGE_LOST" });
      await stage.abandon();
      expect(await unitsOf(backend)).toEqual([]);
    }
  });

  it("leaves a fresh claim beside a commit to its writer before it removes the unit", async () => {
    const claim = { format: "snapkeep-claim", unit: "1.state/", purpose: "stage", id: "living.1" };
    await here.put("1.state/manifest.json");
    await here.put(".claims/1.state.json", JSON.stringify(claim));
    const isOnClaim = ({ target }: SeenRequest) => target.includes(".claims/");
    let looks = 0;
    const hasLookedTwice = new Promise<void>((resolve) => {
      here.proxy.plan((seen) => {
        if (isOnClaim(seen) && seen.method === "GET" && ++looks === 2) resolve();
        return undefined;
      });
    });
    const removing = here.backend().remove("1.state/");
    await hasLookedTwice;
    const { Bucket, prefix } = whereIs(here.place);
    expect(here.proxy.take().some((seen) => isOnClaim(seen) && seen.headers["if-match"] !== undefined)).toBe(false);
    await here.client.send(new DeleteObjectCommand({ Bucket, Key: `${prefix}.claims/1.state.json` }));
    expect(await removing).toBe(true);
    expect((await here.raw()).keys).toEqual([]);
  });

  it("puts a note that was read under a lock only where it is still the same", async () => {
    const { notes } = here.backend();
    const text = (note: string) => new TextEncoder().encode(note);
    await notes.put("x.state", text("first"));
    const unlock = await notes.lock?.("x.state");
    await notes.get("x.state");
    await here.put(".notes/x.state.json", "of another");
    await expect(notes.put("x.state", text("mine"))).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    await unlock?.();
    expect(new TextDecoder().decode(await notes.get("x.state"))).toBe("of another");
  });

  it("finds out what the store respects", async () => {
    // As Ceph 16.2 does. What a store does that respects more is not proven here.
    expect(await here.backend().probe()).toEqual({ create: true, replace: "unquoted", complete: false, remove: false });
  });
});
