// The contract of what lies beside the units: scratch and notes; and of names that must not lead out of the place.
import * as buffer from "node:buffer";
import type { Backend, Scratch } from "../model/backend.ts";
import {
  all,
  BLOB,
  type Cases,
  check,
  drain,
  encode,
  GROUP,
  lend,
  noise,
  publish,
  refuses,
  same,
  sameBytes,
  transfer,
} from "./expectations.ts";

const UNSAFE_NAMES = ["../x", "..", ".", "a/b", "/x", "a:b", "a\\b", "x\0", ".x", "x.", "nul"];

async function useScratch(backend: Backend, scratch: Scratch): Promise<void> {
  const bytes = noise(200_000);
  same(scratch.sizeBytes, 0, "size of new scratch");
  same((await drain(scratch.stream())).length, 0, "bytes in new scratch");
  await scratch.write([bytes.subarray(0, 1_000), new Uint8Array(), bytes.subarray(1_000, 1_001)]);
  same(scratch.sizeBytes, 1_001, "size after the first write");
  sameBytes(await scratch.read(990, 100), bytes.subarray(990, 1_001), "a range after the first write");
  await scratch.write((async function* () {
    yield bytes.subarray(1_001);
  })());
  same(scratch.sizeBytes, bytes.length, "size after the second write");
  sameBytes(await drain(scratch.stream()), bytes, "the stream");
  sameBytes(await drain(scratch.stream()), bytes, "the stream, once more");
  sameBytes(await scratch.read(500, 1_500), bytes.subarray(500, 2_000), "a range over both writes");
  same((await scratch.read(bytes.length, 5)).length, 0, "bytes beyond the end");
  same(await all(backend.list()), [], "units");
  await scratch.remove();
  await scratch.remove();
  await scratch.close();
}

/** Cases about scratch, notes and unsafe names. */
export const roomCases: Cases = {
  "scratch is written, then read, and is no unit": async (backend) => {
    await useScratch(backend, await backend.scratch());
    const stage = await backend.stage(GROUP);
    await useScratch(backend, await stage.scratch());
    await stage.abandon();
  },

  "rooms of scratch do not mix": async (backend) => {
    const stage = await backend.stage(GROUP);
    const rooms = await Promise.all([stage.scratch(), stage.scratch(), backend.scratch(), backend.scratch()]);
    await Promise.all(rooms.map((room, index) => room.write([encode(`room ${index}`)])));
    await rooms[0]?.remove();
    for (const [index, room] of rooms.entries()) {
      if (index > 0) same(new TextDecoder().decode(await drain(room.stream())), `room ${index}`, "content");
      await room.remove();
    }
    await stage.abandon();
  },

  "scratch keeps nothing of what is lent to it, and what is read of it is the reader's": async (backend) => {
    const bytes = noise(500_000);
    const scratch = await backend.scratch();
    await lend(scratch, bytes.subarray(0, 300_000), (body) => scratch.write(body));
    await lend(scratch, bytes.subarray(300_000), (body) => scratch.write(body));
    transfer(await scratch.read(10, 100), "a range of scratch");
    for await (const chunk of scratch.stream()) transfer(chunk, "a chunk of scratch");
    sameBytes(
      await drain(scratch.stream()),
      bytes,
      "scratch, after what was lent was overwritten and all was transferred",
    );
    await scratch.remove();
  },

  "living scratch is not swept, and removing what was swept does not fail": async (backend) => {
    const scratch = await backend.scratch();
    await scratch.write([encode("before")]);
    await backend.sweep(60 * 60 * 1000);
    await scratch.write([encode(", after")]);
    same(new TextDecoder().decode(await drain(scratch.stream())), "before, after", "content");
    same(await backend.sweep(-1), [], "units that were swept");
    await scratch.remove();
  },

  "scratch serves a stage until it is published": async (backend) => {
    const stage = await backend.stage(BLOB);
    const scratch = await stage.scratch();
    await scratch.write([encode("spooled")]);
    await stage.publish("", scratch.stream());
    await scratch.remove();
    same(await all(backend.blobs(BLOB)), [{ path: "", sizeBytes: 7, isRegular: true }], "blobs");
  },

  "notes are set, replaced, listed in byte order and removed": async (backend) => {
    await backend.create();
    const { notes } = backend;
    const noteOf = async (name: string) => {
      const note = await notes.get(name);
      return note === undefined ? undefined : new TextDecoder().decode(note);
    };
    same(await noteOf("b.state"), undefined, "a missing note");
    for (const name of ["b.state", "a.state", "a-b.state", "B.state"]) await notes.put(name, encode(`note of ${name}`));
    same(await all(notes.list()), ["B.state", "a-b.state", "a.state", "b.state"], "names that have a note");
    await notes.put("a.state", encode("replaced"));
    same(await noteOf("a.state"), "replaced", "a note that was replaced by a shorter one");
    same(await noteOf("b.state"), "note of b.state", "another note");
    await notes.put("b.state", new Uint8Array());
    same(await noteOf("b.state"), "", "an empty note");
    await notes.remove("a.state");
    await notes.remove("a.state");
    same(await noteOf("a.state"), undefined, "a removed note");
    same(await all(notes.list()), ["B.state", "a-b.state", "b.state"], "names that have a note");
  },

  "notes do not depend on units": async (backend) => {
    await publish(backend, GROUP, "commit");
    await backend.notes.put("2026-01-02.state", encode("of a unit"));
    await backend.notes.put("2026-01-09.state", encode("of none"));
    same(await all(backend.list()), [GROUP], "units");
    same((await all(backend.blobs(GROUP))).length, 1, "blobs of the unit");
    await backend.remove(GROUP);
    same(await all(backend.notes.list()), ["2026-01-02.state", "2026-01-09.state"], "notes after the unit was removed");
  },

  "notes belong to who reads or wrote them": async (backend) => {
    await backend.create();
    const note = encode("note");
    await backend.notes.put("x.state", note);
    note.fill(0);
    const found = await backend.notes.get("x.state");
    check(found !== undefined, "the note is missing");
    sameBytes(found, encode("note"), "the note, after the writer changed its bytes");
    new Uint8Array(found.buffer).fill(0);
    const again = await backend.notes.get("x.state");
    sameBytes(again ?? note, encode("note"), "the note, after a reader changed its bytes");
    if (again !== undefined) transfer(again, "a note");
    sameBytes(await backend.notes.get("x.state") ?? note, encode("note"), "the note, after a reader transferred it");
    const lent = buffer.Buffer.from(new ArrayBuffer(4)); // its slice is no copy
    lent.set(encode("lent"));
    await backend.notes.put("x.state", lent);
    lent.fill(0);
    sameBytes(await backend.notes.get("x.state") ?? note, encode("lent"), "the note, after its Buffer was changed");
  },

  "of many notes set at once for one name one stays, whole": async (backend) => {
    await backend.create();
    const texts = Array.from({ length: 16 }, (_, index) => `${index}`.repeat(1_000 * (index + 1)));
    await Promise.all(texts.map((text) => backend.notes.put("x.state", encode(text))));
    const found = new TextDecoder().decode(await backend.notes.get("x.state"));
    check(texts.includes(found), `the note is none of those that were set, but ${found.length} bytes`);
  },

  "who locks a note changes it alone": async (backend) => {
    await backend.create();
    const { notes } = backend;
    if (notes.lock === undefined) return; // no other program can be there
    const count = async () => Number(new TextDecoder().decode(await notes.get("x.state")));
    const add = async () => {
      const unlock = await notes.lock?.("x.state");
      await notes.put("x.state", encode(`${await count() + 1}`));
      await unlock?.();
    };
    await Promise.all(Array.from({ length: 12 }, add));
    same(await count(), 12, "changes of a note that was locked for each");
    const unlock = await notes.lock("x.state");
    await (await notes.lock("y.state"))?.(); // another note is not held up
    await unlock?.();
    check(unlock !== undefined, "a free lock is not given");
    same(await all(notes.list()), ["x.state"], "names that have a note; a lock is none");
    await refuses(notes.lock("../x.state"), "NAME_UNSAFE", 'a lock of "../x.state"');
  },

  "a caller that does not wait for the lock of a note gets it only if it is free": async (backend) => {
    await backend.create();
    const { notes } = backend;
    if (notes.lock === undefined) return;
    const unlock = await notes.lock("x.state", { wait: false });
    check(unlock !== undefined, "a free lock is not given to a caller that does not wait");
    for (let round = 0; round < 3; round++) {
      same(await notes.lock("x.state", { wait: false }), undefined, "a lock that is held");
    }
    const other = await notes.lock("y.state", { wait: false });
    check(other !== undefined, "the lock of another note is held up");
    await other?.();
    const waiting = notes.lock("x.state");
    await unlock?.();
    const second = await waiting;
    check(second !== undefined, "a caller that waits gets no lock");
    same(await notes.lock("x.state", { wait: false }), undefined, "a lock that the caller who waited holds");
    await second?.();
    const third = await notes.lock("x.state", { wait: false });
    check(third !== undefined, "a lock that was given back is not given");
    await third?.();
    await refuses(notes.lock("../x.state", { wait: false }), "NAME_UNSAFE", 'a lock of "../x.state"');
  },

  "unsafe names are refused": async (backend) => {
    await publish(backend, "x/", "commit");
    for (const name of UNSAFE_NAMES) {
      for (const unit of [`${name}/`, `${name}.tar.gz`]) {
        await refuses(backend.stage(unit), "NAME_UNSAFE", `claiming "${unit}"`);
        const looks: [string, () => Promise<unknown>][] = [
          ["opening", () => backend.open(unit, unit.endsWith("/") ? "manifest.json" : "")],
          ["removing", () => backend.remove(unit)],
          ["listing", async () => (await all(backend.blobs(unit))).length > 0],
        ];
        for (const [what, look] of looks) {
          const found = await look().catch(() => undefined);
          check(!found, `${what} "${unit}" found something`);
        }
      }
      await refuses(backend.notes.put(name, encode("note")), "NAME_UNSAFE", `a note of "${name}"`);
    }
    same(await all(backend.list()), ["x/"], "units");
  },
};
