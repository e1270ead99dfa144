// Serves the state of a running program over HTTP. Each request gets the world as it is at that moment, as one archive, while
// the world goes on; nothing is written to disk. A client that goes away ends its stream and nothing else.
//
//   node dist/examples/http_stream/server.js [port]     on Node, after npm ci and npm run build
//   bun examples/http_stream/server.ts [port]           on Bun, after npm ci (which brings node_modules/.bin/bun and deno)
//   deno run -A examples/http_stream/server.ts [port]   on Deno
//
// It prints its address, which the client takes; curl -OJ or a browser gets the archive as a file.
import { createServer, type ServerResponse } from "node:http";
import process from "node:process";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { memoryBackend, StateStore } from "snapkeep";
import { World } from "./world.ts";

const world = new World();
const store = new StateStore(memoryBackend()).register("world", world);
setInterval(() => world.step(), 20);

async function serve(response: ServerResponse): Promise<void> {
  const { body, fileName, mediaType } = store.streamState(); // captured here and now
  console.log(`serving ${world}`);
  response.writeHead(200, {
    "content-type": mediaType,
    "content-disposition": `attachment; filename="${fileName}"`,
  });
  await pipeline(Readable.fromWeb(body as never), response);
}

const server = createServer((_request, response) => {
  serve(response).catch((error: Error) => console.log(`aborted: ${error.message}`)); // the client sees a broken body
});

server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => {
  const address = server.address();
  if (typeof address === "object") console.log(`listening on http://127.0.0.1:${address?.port}/`);
});
