// An object store in memory that answers listings and reads, and counts them: for more objects than a test can write.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface CannedStore {
  readonly endpoint: string;
  /** Method and query of all requests since the last time. */
  take(): string[];
  close(): Promise<void>;
}

const DATE = new Date(0).toUTCString();
const PAGE = 1000;

/** Serves objects of one bucket, whose keys must be ASCII. */
export async function cannedStore(objects: ReadonlyMap<string, Uint8Array>): Promise<CannedStore> {
  const keys = [...objects.keys()].sort();
  let seen: string[] = [];

  const list = (query: URLSearchParams) => {
    const [prefix, delimiter] = [query.get("prefix") ?? "", query.get("delimiter")];
    const after = query.get("continuation-token") ?? query.get("start-after") ?? "";
    const most = Number(query.get("max-keys") ?? PAGE);
    const groupOf = (key: string) => {
      const end = delimiter === null ? -1 : key.indexOf(delimiter, prefix.length);
      return end < 0 ? key : key.slice(0, end + 1);
    };
    const found = [...new Set(keys.filter((key) => key.startsWith(prefix)).map(groupOf))].filter((key) => key > after);
    const listed = found.slice(0, most).map((key) =>
      objects.has(key)
        ? `<Contents><Key>${encodeURIComponent(key)}</Key><Size>${objects.get(key)?.length}</Size>` +
          `<ETag>"${key.length}"</ETag><LastModified>1970-01-01T00:00:00.000Z</LastModified></Contents>`
        : `<CommonPrefixes><Prefix>${encodeURIComponent(key)}</Prefix></CommonPrefixes>`
    );
    const next = found.length > most ? found[most - 1] : ""; // which is not encoded
    return `<?xml version="1.0"?><ListBucketResult><EncodingType>url</EncodingType>${listed.join("")}` +
      `<IsTruncated>${
        next !== ""
      }</IsTruncated><NextContinuationToken>${next}</NextContinuationToken></ListBucketResult>`;
  };

  const answer = ({ method = "", url = "", headers }: IncomingMessage, to: ServerResponse) => {
    const { pathname, searchParams } = new URL(url, "http://store");
    seen.push(`${method} ${searchParams}`);
    if (searchParams.has("list-type")) return void to.writeHead(200, { date: DATE }).end(list(searchParams));
    const key = decodeURIComponent(pathname).replace(/^\/[^/]*\//, "");
    const bytes = objects.get(key);
    if (bytes === undefined || method !== "GET" && method !== "HEAD") {
      const code = bytes === undefined ? "NoSuchKey" : "MethodNotAllowed";
      to.writeHead(bytes === undefined ? 404 : 405).end(method === "HEAD" ? "" : `<Error><Code>${code}</Code></Error>`);
      return;
    }
    const common = { date: DATE, etag: `"${key.length}"`, "last-modified": DATE };
    if (method === "HEAD") return void to.writeHead(200, { ...common, "content-length": bytes.length }).end();
    const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(headers.range ?? "") ?? [];
    const start = first === "" ? Math.max(0, bytes.length - Number(last)) : Number(first);
    const end = first === "" ? bytes.length : Math.min(bytes.length, Number(last) + 1);
    to.writeHead(206, { ...common, "content-range": `bytes ${start}-${end - 1}/${bytes.length}` });
    to.end(bytes.subarray(start, end));
  };

  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    take() {
      const taken = seen;
      seen = [];
      return taken;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
