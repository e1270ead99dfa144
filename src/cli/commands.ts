// All commands, in the order in which --help lists them. Each file is loaded when it is needed: loading takes longer than most commands.
import type { Command } from "./command.ts";

const COMMANDS = {
  list: async () => (await import("./list.ts")).listCommand,
  show: async () => (await import("./show.ts")).showCommand,
  top: async () => (await import("./top.ts")).topCommand,
  cat: async () => (await import("./cat.ts")).catCommand,
  diff: async () => (await import("./diff.ts")).diffCommand,
  history: async () => (await import("./history.ts")).historyCommand,
  verify: async () => (await import("./verify.ts")).verifyCommand,
  export: async () => (await import("./export.ts")).exportCommand,
  import: async () => (await import("./import.ts")).importCommand,
  copy: async () => (await import("./copy.ts")).copyCommand,
  extract: async () => (await import("./extract.ts")).extractCommand,
  prune: async () => (await import("./prune.ts")).pruneCommand,
  label: async () => (await import("./label.ts")).labelCommand,
  pin: async () => (await import("./label.ts")).pinCommand,
  unpin: async () => (await import("./label.ts")).unpinCommand,
  sweep: async () => (await import("./sweep.ts")).sweepCommand,
  doctor: async () => (await import("./doctor.ts")).doctorCommand,
} satisfies Record<string, () => Promise<Command>>;

/**
 * Loads commands.
 *
 * @param name The only one to load; any other text loads all.
 * @returns The commands, in the order in which `--help` lists them.
 */
export async function loadCommands(name?: string): Promise<Command[]> {
  const isOne = name !== undefined && Object.hasOwn(COMMANDS, name);
  const loaders = isOne ? [COMMANDS[name as keyof typeof COMMANDS]] : Object.values(COMMANDS);
  return await Promise.all(loaders.map((load) => load()));
}
