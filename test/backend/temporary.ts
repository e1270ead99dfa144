// Folders for tests that must touch the real file system, removed after each test.
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

const MEMORY = "/dev/shm";
const DISK = "/var/tmp";
const made: string[] = [];

/** A new empty folder, which lives as long as the test. */
export async function temporaryFolder(): Promise<string> {
  return await makeFolder(tmpdir());
}

/** The same where syncs cost nothing, for tests with thousands of saves; anywhere if there is no such place. */
export async function fastFolder(): Promise<string> {
  return await makeFolder(existsSync(MEMORY) ? MEMORY : tmpdir());
}

/** The same outside of `/dev`, where Deno gives no program a folder alone. */
export async function diskFolder(): Promise<string> {
  return await makeFolder(existsSync(DISK) ? DISK : tmpdir());
}

async function makeFolder(parent: string): Promise<string> {
  const folder = await mkdtemp(path.join(parent, "snapkeep-test-"));
  made.push(folder);
  return folder;
}

/** Removes the folders of the test that has ended. */
export async function removeTemporaryFolders(): Promise<void> {
  for (const folder of made.splice(0)) await rm(folder, { recursive: true, force: true });
}
