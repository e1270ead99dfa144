// All commands, in the order in which --help lists them.
import type { Command } from "./command.ts";
import { catCommand } from "./cat.ts";
import { copyCommand } from "./copy.ts";
import { diffCommand } from "./diff.ts";
import { doctorCommand } from "./doctor.ts";
import { exportCommand } from "./export.ts";
import { extractCommand } from "./extract.ts";
import { historyCommand } from "./history.ts";
import { importCommand } from "./import.ts";
import { labelCommand, pinCommand, unpinCommand } from "./label.ts";
import { listCommand } from "./list.ts";
import { pruneCommand } from "./prune.ts";
import { showCommand } from "./show.ts";
import { sweepCommand } from "./sweep.ts";
import { topCommand } from "./top.ts";
import { verifyCommand } from "./verify.ts";

/** All commands. */
export const commands: readonly Command[] = [
  listCommand,
  showCommand,
  topCommand,
  catCommand,
  diffCommand,
  historyCommand,
  verifyCommand,
  exportCommand,
  importCommand,
  copyCommand,
  extractCommand,
  pruneCommand,
  labelCommand,
  pinCommand,
  unpinCommand,
  sweepCommand,
  doctorCommand,
];
