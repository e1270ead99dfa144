// A file backend whose system calls are recorded, as lines that are the same in every run.
import path from "node:path";
import { type Backend, fileBackend, type FileBackendOptions } from "snapkeep";
import { type FaultPlan, Faults, faultyFileSystem, nodeFileSystem } from "snapkeep/testing";
import { temporaryFolder } from "./temporary.ts";

export interface Recorded {
  readonly folder: string;
  readonly backend: Backend;
  readonly faults: Faults;
  /** The calls since the last time, as `operation path`, random parts as `*`. */
  takeCalls(): string[];
}

/** A backend on a new folder, which is there already unless told otherwise. */
export async function recorded(
  plan: FaultPlan = {},
  options: Omit<FileBackendOptions, "fileSystem"> & { readonly below?: string } = {},
): Promise<Recorded> {
  const { below = "", ...backendOptions } = options;
  const folder = path.join(await temporaryFolder(), below);
  let isSettled = false;
  const faults = new Faults({ ...plan, only: (call) => isSettled && (plan.only?.(call) ?? true) });
  const fileSystem = faultyFileSystem(nodeFileSystem, faults);
  const backend = fileBackend(folder, { ...backendOptions, fileSystem });
  // A place that is there already is made durable once by each program; what comes after that is recorded.
  if (below === "") await backend.create();
  let taken = faults.calls.length;
  isSettled = true;
  return {
    folder,
    faults,
    backend,
    takeCalls() {
      const calls = faults.calls.slice(taken);
      taken += calls.length;
      return calls.map(({ operation, path: target }) => {
        const relative = path.relative(folder, target).split(path.sep).join("/") || "/";
        return `${operation} ${relative.replaceAll(/\b[0-9a-f]{16}\b/g, "*")}`;
      });
    },
  };
}
