// @ts-nocheck the servers bring no types
// Serves a folder by one of the static servers that people use; prints its port. Runs on Node, whatever runs the tests.
import { createServer } from "node:http";
import process from "node:process";

const [kind, folder] = process.argv.slice(2);

async function listenerOf() {
  if (kind === "express.static") {
    const { default: express } = await import("express");
    return express().use(express.static(folder));
  }
  if (kind === "sirv") {
    const { default: sirv } = await import("sirv");
    return sirv(folder, { dev: true, etag: true });
  }
  const { default: handler } = await import("serve-handler");
  return (request, response) => handler(request, response, { public: folder, etag: true });
}

const server = createServer(await listenerOf());
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
