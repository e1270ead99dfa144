// What callers say of an object store, before anything is asked of it.
import { writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { locate } from "snapkeep";
import { s3Backend, type S3Options } from "snapkeep/s3";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../backend/temporary.ts";
import { collectWarnings } from "../backend/warnings.ts";

describe("s3Backend options", () => {
  it.each([
    ["credentials in the URL", { url: "s3://AKIAKEY:secret@bucket/prefix" }],
    ["credentials in the endpoint", { url: "s3://bucket/p", endpoint: "https://AKIAKEY:secret@store.example" }],
    ["a query", { url: "s3://bucket/p?X-Amz-Signature=secret" }],
    ["another scheme", { url: "http://AKIAKEY:secret@bucket/p" }],
    ["no bucket", { url: "s3:///p" }],
    ["an empty segment", { url: "s3://bucket/a//b" }],
    ["a dot segment", { url: "s3://bucket/a/%2e%2e%2fb" }],
    ["a path", { url: "AKIAKEY secret" }],
    ["bad credentials", {
      url: "s3://bucket/p",
      credentials: { accessKeyId: "AKIAKEY", secretAccessKey: 5, secret: 1 },
    }],
    ["an unknown option", { url: "s3://bucket/p", endpiont: "https://store.example" }],
  ])("are refused with %s, and show no secret", (_, options) => {
    let error: unknown;
    try {
      s3Backend(options as unknown as S3Options);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(TypeError);
    expect(String(error)).not.toMatch(/AKIAKEY|:secret|=secret/);
  });

  it("are refused out of their ranges", () => {
    expect(() => s3Backend({ url: "s3://bucket/p", partBytes: 1024 })).toThrow(RangeError);
    expect(() => s3Backend({ url: "s3://bucket/p", idleMs: 0 })).toThrow(RangeError);
  });

  it("refuse credentials in URLs that are located", () => {
    expect(() => locate("s3://AKIAKEY:secret@bucket/x.state")).toThrow(/must not contain credentials/);
    expect(() => locate("s3://bucket")).toThrow(TypeError);
    expect(locate("s3://bucket/x.state").uri).toBe("s3://bucket/x.state");
  });

  it("fail with the way out where no region is set", async () => {
    const given = ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE"].map((name) =>
      [name, process.env[name]] as const
    );
    for (const [name] of given) delete process.env[name];
    process.env["AWS_CONFIG_FILE"] = "/nowhere";
    try {
      const backend = s3Backend({
        url: "s3://bucket/p",
        credentials: { accessKeyId: "key", secretAccessKey: "secret" },
      });
      const error = await backend.create().catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "STORAGE_FAILED", details: { errno: "RegionMissing" } });
      expect(String(error)).toContain("pass the option region");
    } finally {
      for (const [name, value] of given) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  });

  it("warn of plain http to another machine, and not of loopback", async () => {
    const warnings = await collectWarnings();
    for (
      const endpoint of ["http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000", "https://a.example"]
    ) {
      s3Backend({ url: "s3://bucket/p", endpoint });
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(warnings).toEqual([]);
    s3Backend({ url: "s3://bucket/p", endpoint: "http://store.example" });
    await expect.poll(() => warnings.length).toBe(1);
    expect(warnings[0]).toContain("plain http");
  });

  it("warn of plain http in the AWS configuration too, and refuse credentials in it", async () => {
    const warnings = await collectWarnings();
    const folder = await temporaryFolder();
    const credentials = { accessKeyId: "key", secretAccessKey: "secret" };
    const errors: unknown[] = [];
    for (const [name, endpoint] of [["plain", "http://0.0.0.0:1"], ["keys", "https://AKIAKEY:secret@127.0.0.1:1"]]) {
      const file = path.join(folder, name as string);
      await writeFile(file, `[default]\nendpoint_url = ${endpoint}\n`);
      process.env["AWS_CONFIG_FILE"] = file;
      errors.push(await s3Backend({ url: "s3://bucket/p", credentials }).create().catch((error: unknown) => error));
    }
    delete process.env["AWS_CONFIG_FILE"];
    expect(errors).toEqual([expect.objectContaining({ code: "STORAGE_UNREACHABLE" }), expect.any(TypeError)]);
    expect(String(errors[1])).not.toMatch(/AKIAKEY|:secret/);
    expect(warnings).toEqual([expect.stringContaining("plain http")]);
  });
});
