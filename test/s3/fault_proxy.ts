// A proxy in front of an object store, which does to some requests what networks and stores in trouble do. Everything else
// passes unchanged, and all requests are counted.
import { createServer, type IncomingMessage, request as ask, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";

/** One request, as the proxy sees it. */
export interface SeenRequest {
  /** Such as `PUT`. */
  readonly method: string;
  /** Key and query, decoded, without the bucket. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** What is done to a request. */
export type Fault =
  /** Ends the connection before the store sees the request. */
  | "cut request"
  /** Has the store carry it out, and ends the connection before any of the answer. */
  | "cut answer"
  /** Ends the connection in the middle of the body of the answer. */
  | "cut body"
  /** Has the store carry it out, and never answers. */
  | "stall"
  /** Begins the body of the answer and never ends it. */
  | "stall body"
  /** Has the store carry a PUT out without its condition. */
  | "ignore condition"
  /** Answers in the name of the store, which does not see the request. */
  | { readonly status: number; readonly code: string };

export interface FaultProxy {
  readonly endpoint: string;
  /** All requests since the last time. */
  take(): SeenRequest[];
  /** Decides what is done to each request from now on, perhaps after a while. */
  plan(decide: (seen: SeenRequest) => Fault | undefined | Promise<Fault | undefined>): void;
  close(): Promise<void>;
}

/** A plan that does something to the first requests that match. */
export function first(
  times: number,
  isMeant: (seen: SeenRequest) => boolean,
  fault: Fault,
): (seen: SeenRequest) => Fault | undefined {
  let left = times;
  return (seen) => isMeant(seen) && left-- > 0 ? fault : undefined;
}

/** Starts a proxy in front of a store. `client` reaches the store itself. */
export async function faultProxy(endpoint: string, client: S3Client): Promise<FaultProxy> {
  const { hostname, port } = new URL(endpoint);
  let seen: SeenRequest[] = [];
  let decide: Parameters<FaultProxy["plan"]>[0] = () => undefined;

  const forward = (from: IncomingMessage, to: ServerResponse, body: Uint8Array, fault: Fault | undefined) => {
    const { method, url, headers } = from;
    const upstream = ask({ hostname, port, method, path: url, headers, agent: false }, (answer) => {
      if (fault === "cut answer") {
        answer.resume().on("end", () => void to.socket?.destroy());
        return;
      }
      if (fault === "stall") return void answer.resume();
      const chunks: Uint8Array[] = [];
      answer.on("data", (chunk: Uint8Array) => void chunks.push(chunk));
      answer.on("error", () => void to.socket?.destroy());
      answer.on("end", () => {
        const whole = Buffer.concat(chunks);
        to.writeHead(answer.statusCode ?? 500, answer.headers);
        if (fault !== "cut body" && fault !== "stall body") return void to.end(whole);
        to.write(whole.subarray(0, whole.length >> 1), () => {
          if (fault === "cut body") setTimeout(() => to.socket?.destroy(), 20); // what was written goes out first
        });
      });
    });
    upstream.on("error", () => void to.socket?.destroy());
    upstream.end(body);
  };

  const handle = async (from: IncomingMessage, to: ServerResponse) => {
    const { method = "", url = "", headers } = from;
    const [path = "", query] = url.split("?");
    const key = decodeURIComponent(path).replace(/^\/[^/]*\/?/, "");
    const request = { method, target: query === undefined ? key : `${key}?${decodeURIComponent(query)}`, headers };
    seen.push(request);
    const fault = await decide(request);
    if (fault === "cut request") return void to.socket?.destroy();
    const chunks: Uint8Array[] = [];
    for await (const chunk of from) chunks.push(chunk as Uint8Array);
    const body = Buffer.concat(chunks);
    if (typeof fault === "object") {
      to.writeHead(fault.status, { "content-type": "application/xml", date: new Date().toUTCString() });
      const { code } = fault;
      return void to.end(method === "HEAD" ? "" : `<?xml version="1.0"?><Error><Code>${code}</Code></Error>`);
    }
    if (fault === "ignore condition" && method === "PUT" && query?.startsWith("x-id=PutObject") !== false) {
      const [bucket = ""] = decodeURIComponent(path).slice(1).split("/");
      const writeId = headers["x-amz-meta-snapkeep_write_id"];
      const Metadata = typeof writeId === "string" ? { snapkeep_write_id: writeId } : {};
      const { ETag } = await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body, Metadata }));
      to.writeHead(200, { etag: ETag ?? "", date: new Date().toUTCString() });
      return void to.end();
    }
    forward(from, to, body, fault);
  };

  const server = createServer((from, to) => {
    handle(from, to).catch(() => to.socket?.destroy());
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    take() {
      const taken = seen;
      seen = [];
      return taken;
    },
    plan: (next) => void (decide = next),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
