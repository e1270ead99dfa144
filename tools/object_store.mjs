// A real object store for tests and benchmarks, on this machine alone: Ceph's gateway with one monitor and one OSD in memory.
//
//   npm run object-store            installs it from Debian's packages (as root)
//   npm run object-store -- start   starts one, prints how to reach it, and ends it with this program
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const PACKAGES = ["radosgw", "ceph-mon", "ceph-osd"];
const PROGRAMS = ["radosgw", "ceph-mon", "ceph-osd", "ceph", "ceph-authtool", "monmaptool", "radosgw-admin"];
const READY_MS = 60_000;

/** The keys of the store's only account. */
export const credentials = { accessKeyId: "snapkeeptest", secretAccessKey: "snapkeeptestsecret" };

/** A bucket that is there from the start. */
export const BUCKET = "snapkeep-tests";

/** How to install it. */
export const remedy = "install it with `npm run object-store`";

/** Whether all its programs are there. */
export function isInstalled() {
  const folders = (process.env["PATH"] ?? "").split(path.delimiter);
  return PROGRAMS.every((name) => folders.some((folder) => existsSync(path.join(folder, name))));
}

/**
 * @param {string} command @param {readonly string[]} args
 * @returns {Promise<string>} What it printed.
 */
function tried(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let errors = "";
    child.stdout.setEncoding("utf8").on("data", (text) => output += text);
    child.stderr.setEncoding("utf8").on("data", (text) => errors += text);
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${[command, ...args].join(" ")} ended with ${code}:\n${errors.slice(-2000)}`));
    });
  });
}

/** @returns {Promise<number>} A port that nobody listens at. */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().on("error", reject).listen(0, "127.0.0.1", () => {
      const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
      server.close(() => resolve(port));
    });
  });
}

/** @param {string} folder @param {string} fsid @param {number} monitorPort */
const configuration = (folder, fsid, monitorPort) => `
[global]
fsid = ${fsid}
mon_host = v1:127.0.0.1:${monitorPort}
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
auth_allow_insecure_global_id_reclaim = true
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 1000
mon_data = ${folder}/mon
osd_data = ${folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 12884901888
log_file = ${folder}/log/$name.log
pid_file = ${folder}/run/$name.pid
admin_socket = ${folder}/run/$name.asok
run_dir = ${folder}/run
keyring = ${folder}/keyring
crash_dir = ${folder}/log
ms_bind_ipv6 = false
paxos_propose_interval = 0.05
mon_osd_min_up_ratio = 0
osd_heartbeat_grace = 60
mon_tick_interval = 1
[client]
rgw_data = ${folder}/rgw
rgw_thread_pool_size = 64
rgw_enable_usage_log = false
rgw_gc_obj_min_wait = 1
rgw_gc_processor_period = 1
rgw_zone = default
`;

/** @param {() => Promise<boolean>} isReady */
async function until(isReady) {
  let last;
  for (const sinceMs = performance.now(); !await isReady().catch((error) => void (last = error));) {
    if (performance.now() - sinceMs > READY_MS) throw new Error("the object store does not start", { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/**
 * Starts one more gateway of a running store, which can be killed without disturbing the others.
 *
 * @param {string} folder The folder of the store.
 * @returns {Promise<{ endpoint: string, kill(): void, restart(): Promise<void> }>}
 */
export async function startGateway(folder) {
  const port = await freePort();
  const name = `client.rgw-${port}`;
  const endpoint = `http://127.0.0.1:${port}`;
  const restart = async () => {
    const frontend = `--rgw-frontends=beast endpoint=127.0.0.1:${port} tcp_nodelay=1`;
    await tried("radosgw", ["-c", path.join(folder, "ceph.conf"), "-n", name, frontend]);
    await until(async () => {
      const answer = await fetch(endpoint);
      await answer.body?.cancel();
      return answer.status < 500;
    });
  };
  await restart();
  return { endpoint, kill: () => kill(path.join(folder, "run", `${name}.pid`)), restart };
}

/** @param {string} file Where a program wrote its process id. */
function kill(file) {
  try {
    process.kill(Number(readFileSync(file, "utf8")), "SIGKILL");
  } catch {
    // it has ended
  }
}

/** @param {string} endpoint */
async function createBucket(endpoint) {
  const { CreateBucketCommand, S3Client } = await import("@aws-sdk/client-s3"); // takes a second
  const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  client.destroy();
}

/**
 * Starts a store of its own. All its programs, and gateways that were started later, end with `stop`.
 *
 * @returns {Promise<{ endpoint: string, folder: string, stop(): Promise<void> }>}
 */
export async function startObjectStore() {
  const folder = await mkdtemp(path.join(os.tmpdir(), "snapkeep-object-store-"));
  const running = path.join(folder, "run");
  for (const name of ["mon", "osd", "rgw", "log", "run"]) await mkdir(path.join(folder, name));
  const monitorPort = await freePort();
  const fsid = globalThis.crypto.randomUUID();
  const file = path.join(folder, "ceph.conf");
  await writeFile(file, configuration(folder, fsid, monitorPort));
  const own = ["-c", file];
  const keyring = path.join(folder, "keyring");
  const monitorMap = path.join(folder, "monmap");
  const stop = async () => {
    for (const name of await readdir(running)) if (name.endsWith(".pid")) kill(path.join(running, name));
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  /** @param {string} command @param {readonly string[]} args */
  const again = (command, args) => until(() => tried(command, args).then(() => true));
  try {
    const address = `[v1:127.0.0.1:${monitorPort}]`;
    await tried("monmaptool", ["--create", "--addv", "a", address, "--fsid", fsid, monitorMap]);
    await tried("ceph-authtool", ["--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *"]);
    const rights = ["mon", "osd", "mgr"].flatMap((name) => ["--cap", name, "allow *"]);
    await tried("ceph-authtool", [keyring, "--gen-key", "-n", "client.admin", ...rights]);
    await tried("ceph-mon", [...own, "--mkfs", "-i", "a", "--monmap", monitorMap, "--keyring", keyring]);
    await tried("ceph-mon", [...own, "-i", "a"]);
    const id = globalThis.crypto.randomUUID();
    // A monitor that has just started refuses some commands, on a busy machine for seconds: each is tried until it succeeds.
    await again("ceph", [...own, "osd", "new", id]);
    await tried("ceph-osd", [...own, "-i", "0", "--mkfs", "--osd-uuid", id]);
    await again("ceph", [...own, "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=localhost"]);
    await again("ceph-osd", [...own, "-i", "0"]);
    await until(async () => (await tried("ceph", [...own, "osd", "stat"])).includes("1 up"));
    const { accessKeyId, secretAccessKey } = credentials;
    const keys = [`--access-key=${accessKeyId}`, `--secret-key=${secretAccessKey}`];
    const user = ["user", "create", "--uid=test", "--display-name=t", ...keys];
    await tried("radosgw-admin", [...own, "-n", "client.rgw", ...user]);
    const { endpoint } = await startGateway(folder);
    await createBucket(endpoint);
    return { endpoint, folder, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const GIVEN = "SNAPKEEP_OBJECT_STORE";

/** The environment of programs that are to use a running store. @param {{ endpoint: string, folder: string }} store */
export const environmentOf = ({ endpoint, folder }) => ({ [GIVEN]: `${endpoint} ${folder}` });

/**
 * The store that another program has started for this one, and ends.
 *
 * @returns {{ endpoint: string, folder: string, stop(): Promise<void> } | undefined}
 */
export function givenObjectStore() {
  const [, endpoint, folder] = /^(\S+) (.+)$/.exec(process.env[GIVEN] ?? "") ?? [];
  if (endpoint === undefined || folder === undefined) return undefined;
  return { endpoint, folder, stop: () => Promise.resolve() };
}

async function main() {
  const [command = "install"] = process.argv.slice(2);
  if (command === "install") {
    if (isInstalled()) return console.log("The object store is installed.");
    const { status } = spawnSync("sh", [
      "-c",
      `apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends ${
        PACKAGES.join(" ")
      }`,
    ], { stdio: "inherit" });
    process.exitCode = status ?? 1;
    return;
  }
  if (command !== "start") throw new RangeError(`Cannot "${command}" an object store: install or start`);
  if (!isInstalled()) throw new Error(`Cannot start an object store: ${remedy}`);
  const { endpoint, stop } = await startObjectStore();
  console.log(`AWS_ENDPOINT_URL=${endpoint}`);
  console.log(`AWS_ACCESS_KEY_ID=${credentials.accessKeyId}`);
  console.log(`AWS_SECRET_ACCESS_KEY=${credentials.secretAccessKey}`);
  const alive = setInterval(() => {}, 2 ** 30); // a promise alone does not keep the program running
  await new Promise((resolve) => process.once("SIGINT", resolve).once("SIGTERM", resolve));
  clearInterval(alive);
  await stop();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
