// Errors as data: closed codes, typed details, and the same across copies of the library.
import { describe, expect, expectTypeOf, it } from "vitest";
import { errnoOf, isSnapshotError, reasonOf, SnapshotError, storageError } from "../../src/model/errors.ts";

const missing = new SnapshotError("SNAPSHOT_NOT_FOUND", "Cannot open it: there is none", { uri: "x" });

describe("SnapshotError", () => {
  it("is an Error with name, code, details and cause", () => {
    const cause = new Error("beneath");
    const error = new SnapshotError("STATE_SAVE_FAILED", "Cannot save", { state: "a" }, { cause });
    expect(error).toBeInstanceOf(Error);
    expect([error.name, error.code, error.details, error.cause]).toEqual(["SnapshotError", "STATE_SAVE_FAILED", {
      state: "a",
    }, cause]);
    expect(String(error)).toBe("SnapshotError: Cannot save");
  });
});

describe("isSnapshotError", () => {
  it("knows an error, and whether it has the code asked for", () => {
    expect([isSnapshotError(missing), isSnapshotError(missing, "SNAPSHOT_NOT_FOUND")]).toEqual([true, true]);
    expect(isSnapshotError(missing, "SNAPSHOT_GONE")).toBe(false);
  });

  it("knows the error of another copy of the library, where instanceof fails", () => {
    const foreign = Object.assign(new Error("copy"), {
      code: "SNAPSHOT_GONE",
      [Symbol.for("snapkeep.SnapshotError")]: true,
    });
    expect([isSnapshotError(foreign), isSnapshotError(foreign, "SNAPSHOT_GONE")]).toEqual([true, true]);
  });

  it("takes nothing else for one", () => {
    const others = [undefined, null, "x", 5, {}, new Error("x"), { code: "SNAPSHOT_GONE" }, Symbol("x")];
    expect(others.map((other) => isSnapshotError(other))).not.toContain(true);
  });

  it("narrows the type of the details to the code", () => {
    const error: unknown = missing;
    if (!isSnapshotError(error, "SNAPSHOT_NOT_FOUND")) throw new Error("not narrowed");
    expectTypeOf(error.details).toEqualTypeOf<Readonly<{ uri: string }>>();
    expectTypeOf(error.code).toEqualTypeOf<"SNAPSHOT_NOT_FOUND">();
    expect(error.details.uri).toBe("x");
  });
});

describe("storageError", () => {
  it.each(["ENOSPC", "EDQUOT"])("calls %s a full storage", (code) => {
    const error = storageError("write", "/a", Object.assign(new Error("no room"), { code }));
    expect([error.code, error.details]).toEqual(["STORAGE_FULL", { operation: "write", path: "/a", errno: code }]);
  });

  it("calls everything else a failed storage, with the runtime's error as cause", () => {
    const cause = Object.assign(new Error("denied"), { code: "EACCES" });
    const error = storageError("open", "/a", cause);
    expect([error.code, error.cause]).toEqual(["STORAGE_FAILED", cause]);
    expect(error.message).toBe('Cannot open "/a": denied; check the permissions of the program there');
  });

  it("names a path once, and the way out, whatever the runtime says", () => {
    const messages = [
      ["ENOTDIR", "ENOTDIR: not a directory, scandir '/a'"],
      ["EIO", "EIO: i/o error, rename '/it's, a' -> '/b'"],
      ["UNKNOWN", "the connection was reset"],
    ].map(([code, message]) => storageError("open", "/a", Object.assign(new Error(message), { code })).message);
    expect(messages).toEqual([
      'Cannot open "/a": ENOTDIR: not a directory; a file lies where a folder is expected',
      'Cannot open "/a": EIO: i/o error',
      'Cannot open "/a": the connection was reset',
    ]);
  });

  it("does not wrap twice", () => {
    expect(storageError("open", "/a", missing)).toBe(missing);
  });
});

describe("errnoOf and reasonOf", () => {
  it("read the system's code, also out of a wrapped error", () => {
    const cause = Object.assign(new Error("gone"), { code: "ENOENT" });
    expect([errnoOf(cause), errnoOf(storageError("open", "/a", cause))]).toEqual(["ENOENT", "ENOENT"]);
  });

  it("use the name of an error without a code, as Deno's are", () => {
    class NotCapable extends Error {
      override name = "NotCapable";
    }
    expect([errnoOf(new NotCapable("denied")), errnoOf("text"), errnoOf(undefined)]).toEqual([
      "NotCapable",
      "UNKNOWN",
      "UNKNOWN",
    ]);
  });

  it("find a reason in anything that was thrown", () => {
    expect([new Error("why"), "text", 5, null, undefined].map(reasonOf)).toEqual([
      "why",
      "text",
      "5",
      "null",
      "undefined",
    ]);
  });
});
