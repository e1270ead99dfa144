// A game server with rooms of things that move, 20 times a second. It saves every five seconds and when it is stopped, keeps the newest
// five and one an hour, and goes on from the newest after any end. A client paints tiles, and sees its room.
//
//   node dist/examples/game_server/server.js [folder] [port]    on Node, after npm ci and npm run build
//   bun examples/game_server/server.ts [folder] [port]          on Bun
//   deno run -A examples/game_server/server.ts [folder] [port]  on Deno
import { createServer } from "node:http";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { autosave, keepHourly, keepLatest, PeriodicSaveCondition, RetentionKeeper, StateStore } from "snapkeep";
import type { PersistentState, StateReader, StateWriter } from "snapkeep";
import { WebSocketServer } from "ws";

const [folder = "game-states", port = "8080"] = process.argv.slice(2);
const TICK_MS = 50;

class Room implements PersistentState {
  ticks = 0;
  tiles: Record<string, string> = {};
  bodies: Float32Array<ArrayBuffer> = Float32Array.from({ length: 40_000 }, (_, at) => Math.sin(at)); // 10,000 of x, y and speeds

  step(): void {
    this.ticks++;
    for (let at = 0; at < this.bodies.length; at += 4) {
      for (let axis = at; axis < at + 2; axis++) {
        this.bodies[axis]! += this.bodies[axis + 2]! / 20;
        if (Math.abs(this.bodies[axis]!) > 1) this.bodies[axis + 2]! *= -1;
      }
    }
  }

  saveState(out: StateWriter): void { // in bulk as bytes: 10,000 bodies as JSON would hold the loop for several ticks
    void out.json("room.json", { ticks: this.ticks, tiles: this.tiles });
    void out.write("bodies.f32", this.bodies);
  }

  async loadState(from: StateReader): Promise<void> {
    const { ticks, tiles } = await from.json("room.json") as { ticks: number; tiles: Record<string, string> };
    const bodies = new Float32Array((await from.bytes("bodies.f32")).buffer);
    Object.assign(this, { ticks, tiles, bodies });
  }
}

let longestMs = 0;
const rooms = new Map(["cave", "forest", "harbour"].map((name) => [name, new Room()]));
const store = new StateStore(folder, { program: "game-server" });
for (const [name, room] of rooms) store.register(name, room);
const { lastRun } = await store.resume();
console.log(lastRun?.sentence ?? "The first run.");
const saver = autosave(store, {
  condition: new PeriodicSaveCondition("5s"),
  keeper: new RetentionKeeper(store, [keepLatest(5), keepHourly(24)]),
  signals: true,
  labels: () => ({ step: rooms.get("cave")!.ticks }),
  onEvent: (event) => console.log(event.outcome, event.reason, `longest tick ${longestMs.toFixed(1)} ms`),
});

const server = createServer((request, response) => {
  const health = { ...saver.health(), longestTickMs: longestMs };
  response.statusCode = request.url !== "/healthz" ? 404 : health.failuresInRow > 0 ? 503 : 200;
  response.end(JSON.stringify(health));
}).listen(Number(port), "127.0.0.1", () => console.log(`listening on ${(server.address() as { port: number }).port}`));
const sockets = new WebSocketServer({ server });
sockets.on("connection", (socket, { url = "" }) => {
  const room = rooms.get(url.slice(1));
  if (room === undefined) return socket.close(1008, "no such room");
  const showing = setInterval(() => socket.send(JSON.stringify({ ticks: room.ticks, tiles: room.tiles })), TICK_MS);
  socket.on("message", (data) => { // "tile colour"
    const [tile = "", colour = ""] = new TextDecoder().decode(data as Uint8Array).slice(0, 100).split(" ");
    room.tiles[tile] = colour;
  }).on("close", () => clearInterval(showing));
});

for (let dueMs = performance.now();; dueMs = Math.max(dueMs + TICK_MS, performance.now())) {
  await sleep(Math.max(0, dueMs - performance.now()));
  for (const room of rooms.values()) room.step();
  await saver.tick();
  longestMs = Math.max(longestMs, performance.now() - dueMs); // from the time it was due until it had ended
}
