// Loads the state of another program over HTTP. What comes is spooled beside the client's own snapshots, verified as a whole,
// and only then loaded; a stream that breaks off, or is not what was sent, changes nothing.
//
//   node dist/examples/http_stream/client.js <url> [folder]     on Node, after npm run build
//   bun examples/http_stream/client.ts <url> [folder]           on Bun
//   deno run -A examples/http_stream/client.ts <url> [folder]   on Deno
import process from "node:process";
import { StateStore } from "snapkeep";
import { World } from "./world.ts";

const [url, folder = "received-states"] = process.argv.slice(2);
if (url === undefined) throw new TypeError("Cannot load from nowhere: the first argument is the server's address");

const world = new World();
const store = new StateStore(folder).register("world", world);

const response = await fetch(url);
if (!response.ok || response.body === null) throw new Error(`Cannot load from ${url}: it says ${response.status}`);
const { name } = await store.loadState(response.body);
console.log(`loaded ${name}: ${world}`);
