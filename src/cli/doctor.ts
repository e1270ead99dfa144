// snapkeep doctor
import process from "node:process";
import { codecOf } from "../compression/codecs.ts";
import { STALE_AFTER_MS } from "../model/backend.ts";
import { pathOfUri, showAddress } from "../model/address.ts";
import { isSnapshotError, reasonOf } from "../model/errors.ts";
import { VERSION } from "../model/version.ts";
import type { Conditions } from "../s3/probe.ts";
import { s3Backend } from "../s3/s3_backend.ts";
import type { StateStore } from "../store/state_store.ts";
import type { Survey } from "../store/survey.ts";
import type { Command } from "./command.ts";
import { countText } from "./count_text.ts";
import { EXIT } from "./exit_code.ts";
import { objectStoreOf, type SurveyWithLeftovers, surveyWithLeftovers } from "./leftovers.ts";
import type { Style } from "./output.ts";
import { ageText, sizeText } from "./readable.ts";

/** One thing that was looked at. */
interface Check {
  readonly name: string;
  readonly status: "ok" | "warning" | "problem";
  readonly text: string;
  /** The command that mends it, or what to do. */
  readonly mend?: string;
  /** Whether snapshots are damaged. */
  readonly isDamage?: boolean;
  /** Which conditional requests an object store respects. */
  readonly conditions?: Conditions;
}

const STYLES: Readonly<Record<Check["status"], Style>> = { ok: "green", warning: "yellow", problem: "red" };
const CLOCK_MS = 60_000;

/** Tells what is wrong. */
export const doctorCommand: Command = {
  name: "doctor",
  group: "Keep",
  summary: "Tell what is wrong with a store and this machine, and which command mends it.",
  details:
    "It looks at the runtime, codecs, permissions, free space, the clock, leftovers, manifests and notes. An object store is probed: " +
    "a hidden object is put and deleted, to see which conditional requests it respects. No entry is read: verify does that. The exit code is 4 if snapshots are damaged, 1 if something else keeps programs from saving.",
  args: [],
  options: [],
  examples: [
    ["snapkeep doctor -s states", "look at the store in the folder states"],
    ["snapkeep doctor -s s3://backups/counter", "look at one on an object store"],
  ],
  run: async (context) => {
    const { output, signal } = context;
    const checks: Check[] = [runtime(), ...codecs()];
    if (context.hasStore) {
      checks.push(...await storeChecks(await context.store(), signal));
    } else {checks.push({
        name: "store",
        status: "warning",
        text: "none is named",
        mend: "snapkeep doctor -s <folder>",
      });}
    for (const { name, status, text, mend } of output.isJson ? [] : checks) {
      await output.line([status.padEnd(8), STYLES[status]], `${name.padEnd(12)} ${text}`);
      if (mend !== undefined) await output.line(`${" ".repeat(21)}-> ${mend}`);
    }
    const problems = checks.filter(({ status }) => status === "problem");
    const exitCode = problems.some(({ isDamage }) => isDamage)
      ? EXIT.damage
      : problems.length > 0
      ? EXIT.failed
      : EXIT.done;
    if (output.isJson) {
      await output.json({
        checks: checks.map(({ name, status, text, mend, conditions }) => ({ name, status, text, mend, conditions })),
        problems: problems.length,
      });
    } else {
      const warnings = checks.filter(({ status }) => status === "warning").length;
      output.message(
        `${problems.length === 0 ? "no problem" : countText(problems.length, "problem")} found${
          warnings === 0 ? "" : `, ${countText(warnings, "warning")}`
        }`,
      );
    }
    return exitCode;
  },
};

function runtime(): Check {
  const { Deno, Bun } = globalThis as { Deno?: { version: { deno: string } }; Bun?: { version: string } };
  const name = Deno !== undefined
    ? `Deno ${Deno.version.deno}`
    : Bun !== undefined
    ? `Bun ${Bun.version}`
    : `Node ${process.versions.node}`;
  return { name: "runtime", status: "ok", text: `${name} on ${process.platform} ${process.arch}, snapkeep ${VERSION}` };
}

function codecs(): Check[] {
  try {
    codecOf("zstd");
    return [{ name: "codecs", status: "ok", text: "gzip, zstd" }];
  } catch (error) {
    return [{
      name: "codecs",
      status: "warning",
      text: `gzip only: ${reasonOf(error)}`,
      mend: "use another runtime for tar.zst",
    }];
  }
}

/** Looks at a store; one that cannot be looked at is the problem. */
async function storeChecks(store: StateStore, signal: AbortSignal): Promise<Check[]> {
  try {
    return await checksOf(store, await surveyWithLeftovers(store, signal));
  } catch (error) {
    if (signal.aborted || !isSnapshotError(error)) throw error;
    return [{ name: "store", status: "problem", text: reasonOf(error), mend: "mend that, then run doctor again" }];
  }
}

async function checksOf(store: StateStore, { survey, leftovers: left }: SurveyWithLeftovers): Promise<Check[]> {
  const url = objectStoreOf(store);
  return [
    found(store, survey),
    ...await (url === undefined ? folderChecks(store, survey) : objectStoreChecks(url)),
    clock(store, survey),
    leftovers(store, left),
    ...manifests(store, survey),
    ...folders(survey),
    ...programs(survey),
  ];
}

function shell(store: StateStore): string {
  const path = pathOfUri(store.backend.uri);
  return /^[\w.:%/-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

function found(store: StateStore, { snapshots }: Survey): Check {
  const newest = snapshots.filter(({ isTimed }) => isTimed).at(-1);
  const age = newest?.manifest === undefined
    ? ""
    : `, the newest saved ${ageText(Date.parse(newest.manifest.savedAt), Date.now())} ago`;
  return {
    name: "store",
    status: "ok",
    text: `${showAddress(store.backend.uri)} has ${countText(snapshots.length, "snapshot")}${age}`,
  };
}

async function folderChecks(store: StateStore, survey: Survey): Promise<Check[]> {
  return [await permissions(store), await freeSpace(store, survey)];
}

/** Whether objects can be put and deleted, and what the store respects: the probe does all that a save does. */
async function objectStoreChecks(url: URL): Promise<Check[]> {
  try {
    const conditions = await s3Backend({ url }).probe();
    return [{ name: "permissions", status: "ok", text: "these keys may read and write" }, conditionsCheck(conditions)];
  } catch (error) {
    if (!isSnapshotError(error)) throw error;
    const mend = isSnapshotError(error, "STORAGE_FORBIDDEN")
      ? "compare the policy of the bucket with the guide"
      : "try again later";
    return [{ name: "permissions", status: "problem", text: `cannot write: ${reasonOf(error)}`, mend }];
  }
}

function conditionsCheck(conditions: Conditions): Check {
  const { create, replace, complete, remove } = conditions;
  const said = (isRespected: boolean) => isRespected ? "respected" : "ignored";
  const found = [
    `PUT If-None-Match ${said(create)}`,
    `PUT If-Match ${said(replace !== false)}${replace === "unquoted" ? " with unquoted ETags" : ""}`,
    `CompleteMultipartUpload If-None-Match ${said(complete)}`,
    `DELETE If-Match ${said(remove)}`,
  ].join(", ");
  const check = { name: "conditions", conditions };
  if (!create) {
    const text = `two programs could overwrite each other: ${found}`;
    const mend = "let one program write at a time, with withoutConditions: true; commands with --without-conditions";
    return { ...check, status: "problem", text, mend };
  }
  if (replace !== false) return { ...check, status: "ok", text: found };
  const text = `two programs that change a claim or labels at once can undo each other: ${found}`;
  return { ...check, status: "warning", text, mend: "let one program write at a time" };
}

/**
 * Whether files can be made and removed, as a save does it. They are hidden, and a sweep would remove them if this process died now.
 * Scratch would not tell: where it may not write, it lies elsewhere.
 */
async function permissions({ backend }: StateStore): Promise<Check> {
  const name = "permissions";
  try {
    const stage = await backend.stage(`doctor-${crypto.randomUUID()}.state/`);
    try {
      await stage.write("probe", [new Uint8Array(1)]);
    } finally {
      await stage.abandon();
    }
    return { name, status: "ok", text: "this user may read and write" };
  } catch (error) {
    if (isSnapshotError(error, "STORAGE_FULL")) {
      return { name, status: "problem", text: reasonOf(error), mend: "snapkeep prune, or free room" };
    }
    return {
      name,
      status: "problem",
      text: `this user cannot write: ${reasonOf(error)}`,
      mend: "run it as the user of the program, or change the owner",
    };
  }
}

async function freeSpace(store: StateStore, { snapshots }: Survey): Promise<Check> {
  const name = "free space";
  const freeBytes = await store.backend.freeBytes?.();
  if (freeBytes === undefined) return { name, status: "ok", text: "unknown on this file system" };
  const newest = snapshots.filter(({ manifest }) => manifest !== undefined).at(-1)?.manifest?.totals.sizeBytes;
  if (newest === undefined) return { name, status: "ok", text: sizeText(freeBytes) };
  const text = `${sizeText(freeBytes)}; the newest snapshot holds ${sizeText(newest)}`;
  const mend = `snapkeep prune --keep-latest 5 --dry-run -s ${shell(store)}`;
  if (freeBytes < newest) return { name, status: "problem", text, mend };
  return freeBytes < 3 * newest ? { name, status: "warning", text, mend } : { name, status: "ok", text };
}

function clock(store: StateStore, { snapshots }: Survey): Check {
  const ahead = snapshots.filter(({ locator: { name } }) =>
    (store.timeOf(name)?.getTime() ?? 0) > Date.now() + CLOCK_MS
  );
  const name = "clock";
  if (ahead.length === 0) return { name, status: "ok", text: new Date().toISOString() };
  const text = `${countText(ahead.length, "snapshot is", "snapshots are")} in the future, such as "${
    ahead.at(-1)?.locator.name
  }"; it is ${new Date().toISOString()} here`;
  return { name, status: "warning", text, mend: "set the clock of the machine that is wrong" };
}

function leftovers(store: StateStore, left: SurveyWithLeftovers["leftovers"]): Check {
  const name = "leftovers";
  const all = left.filter(({ kind }) => kind !== "lock" && kind !== "lock-owner");
  const dead = all.filter(({ kind, idleMs }) => kind === "trash" || idleMs > STALE_AFTER_MS);
  const living = all.length - dead.length;
  const text = `${dead.length} of dead writers, ${living} of writers that may live`;
  if (dead.length === 0) return { name, status: "ok", text: all.length === 0 ? "none" : text };
  return { name, status: "warning", text, mend: `snapkeep sweep -s ${shell(store)}` };
}

function manifests(store: StateStore, { snapshots }: Survey): Check[] {
  const damaged = snapshots.filter(({ damage }) => damage !== undefined);
  const noted = snapshots.filter(({ hasDamagedNote }) => hasDamagedNote);
  const renamed = snapshots.filter(({ isTimed, locator, manifest }) =>
    isTimed && manifest !== undefined && manifest.name !== locator.name
  );
  return [
    damaged.length === 0 ? { name: "manifests", status: "ok", text: "all can be read" } : {
      name: "manifests",
      status: "problem",
      text: `${damaged.length} cannot be read: ${damaged[0]?.locator.name}: ${damaged[0]?.damage}`,
      mend: `snapkeep verify -s ${shell(store)}; then import a copy, or move the damaged ones away`,
      isDamage: true,
    },
    ...noted.map(({ locator }): Check => ({
      name: "notes",
      status: "problem",
      text: `the note of "${locator.name}" is damaged: its labels are lost, and it counts as pinned`,
      mend: `snapkeep unpin ${locator.name} -s ${shell(store)}, or label it anew`,
      isDamage: true,
    })),
    ...renamed.map(({ locator, manifest }): Check => ({
      name: "names",
      status: "warning",
      text: `"${locator.name}" was saved as "${manifest?.name}"`,
      mend: "rename it back",
    })),
  ];
}

function folders({ partial, foreign }: Survey): Check[] {
  return [
    ...partial.map((name): Check => ({
      name: "partial",
      status: "warning",
      text: `"${name}" is named like a snapshot and has no manifest`,
      mend: "copy it again from where it came, or remove it",
    })),
    ...foreign.length === 0 ? [] : [
      {
        name: "foreign",
        status: "ok",
        text: `${countText(foreign.length, "folder is not a snapshot", "folders are not snapshots")}, such as "${
          foreign[0]
        }"`,
      } as const,
    ],
  ];
}

function programs({ snapshots }: Survey): Check[] {
  const found = [...new Set(snapshots.flatMap(({ manifest }) => manifest?.program ?? []))].sort();
  if (found.length < 2) return [];
  const text = `${found.length} programs save here: ${found.map((name) => `"${name}"`).join(", ")}`;
  return [{
    name: "programs",
    status: "warning",
    text,
    mend: "give each program a place of its own; prune needs --program",
  }];
}
