// The command line: parses it, runs a command, and turns errors into messages and exit codes. The only file that knows commander.
import process from "node:process";
import { styleText } from "node:util";
import { Command as Parser, CommanderError, InvalidArgumentError, Option } from "commander";
import { isSnapshotError, reasonOf } from "../model/errors.ts";
import { VERSION } from "../model/version.ts";
import { unlessAborted } from "../runtime/concurrency.ts";
import { isS3Url } from "../s3/address.ts";
import { type Command, Context, type GlobalOptions } from "./command.ts";
import { isCommand, loadCommands } from "./commands.ts";
import { EXIT, type ExitCode, exitCodeOf, Interruption, UsageError } from "./exit_code.ts";
import { BrokenPipe, Output } from "./output.ts";
import { WAYS } from "./resolve.ts";
import { visibleLines } from "./visible.ts";

/** What the help of the program says at its end. */
export const NAMING: string = [
  "A <snapshot> is:",
  "  2026-11-23_07-04-34,123000.state   its name, or the beginning of it if no other name begins so",
  "  latest, latest~1                   the newest, the one before",
  "  @nightly                           the newest with the tag nightly",
  "  backup/X.state.tar.gz              a path; without a slash, names in the store come first",
  "  https://host/X.state.tar.gz        a URL of an archive",
  "  s3://bucket/prefix/X.state         one on an object store",
].join("\n");

/** How object stores are reached. */
export const OBJECT_STORES: string = [
  "An object store is named s3://bucket/prefix, without keys, in place of a <folder>.",
  "It needs the package @aws-sdk/client-s3, and is reached as the AWS tools do, by:",
  "  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY  keys, and AWS_SESSION_TOKEN",
  "  AWS_PROFILE                               or a profile of the AWS files",
  "  AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL     the server, if it is not AWS, or endpoint_url in these files",
  "  AWS_REGION                                the region of the bucket, or region in these files",
].join("\n");

/** What the exit codes mean. */
export const EXIT_CODES =
  "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 partly done, 4 damage found, 130 interrupted, 143 terminated.";

/** Options that every command takes. */
export const GLOBAL_OPTIONS: readonly { readonly flags: string; readonly about: string; readonly env?: string }[] = [
  { flags: "-s, --store <folder>", about: "folder of the snapshots, or s3://bucket/prefix", env: "SNAPKEEP_STORE" },
  { flags: "--json", about: "print results as JSON: one object, or one a line with a type" },
  { flags: "--name-format <format>", about: "strftime format of the snapshot names, if the program sets its own" },
  {
    flags: "--without-conditions",
    about: "write to object stores that ignore conditional writes: you promise that one program writes at a time",
  },
];

/** The usage line of a command, without the program's name. */
export function usageOf({ name, args }: Command): string {
  return [name, ...args.map(([arg]) => arg)].join(" ");
}

/** How long an interrupted command may clean up. What hangs longer is left to `sweep`. */
const MOST_CLEANUP_MS = 5000;

type Run = (command: Command, args: readonly unknown[], options: GlobalOptions) => Promise<void>;

function makeParser(commands: readonly Command[], run: Run): Parser {
  const parser = new Parser("snapkeep")
    .description("Looks at the snapshots of a program, moves them, and keeps the right ones.")
    .version(VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .configureHelp({ showGlobalOptions: true, minWidthToWrap: 30, styleTitle: (title) => styleText("bold", title) })
    .configureOutput({ writeErr: (text) => void process.stderr.write(visibleLines(text)), outputError: () => {} })
    .addHelpText("after", "\nsnapkeep help <command> prints the options of a command, with examples.")
    .exitOverride()
    .addHelpText("after", `\n${NAMING}\n\n${OBJECT_STORES}\n\n${EXIT_CODES}`);
  for (const { flags, about, env } of GLOBAL_OPTIONS) {
    const option = new Option(flags, about);
    parser.addOption(env === undefined ? option : option.env(env));
  }
  for (const command of commands) parser.addCommand(parserOf(command, run).copyInheritedSettings(parser));
  return parser;
}

function parserOf(command: Command, run: Run): Parser {
  const { name, group, summary, details, args, options, examples } = command;
  const parser = new Parser(name).summary(summary).helpGroup(`${group}:`)
    .description(details === undefined ? summary : `${summary} ${details}`);
  for (const [arg, about] of args) parser.argument(arg, arg.includes("snapshot") ? `${about}: ${WAYS}` : about);
  for (const { flags, about, read } of options) {
    const option = new Option(flags, about);
    if (read !== undefined) option.argParser((text, before: unknown) => reading(() => read(text, before)));
    parser.addOption(option);
  }
  const width = Math.max(...examples.map(([line]) => line.length));
  const lines = examples.map(([line, about]) => `  ${line.padEnd(width)}  ${about}`);
  parser.addHelpText("after", `\nExamples:\n${lines.join("\n")}`);
  parser.action(async (...given: unknown[]) => {
    await run(command, given.slice(0, -2), parser.optsWithGlobals());
  });
  return parser;
}

function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof UsageError || error instanceof RangeError || error instanceof TypeError) {
      throw new InvalidArgumentError(error.message);
    }
    throw error;
  }
}

/**
 * Runs a command line to its end.
 *
 * @param args What follows the program's name.
 * @param signal Aborts the command; its reason is an {@link Interruption}.
 * @returns The exit code; everything is written.
 */
export async function runCommandLine(args: readonly string[], signal: AbortSignal): Promise<ExitCode> {
  const output = new Output({ isJson: args.includes("--json") });
  let code: ExitCode = EXIT.done;
  const { name, line } = readLine(args);
  try {
    const commands = await loadCommands(name);
    const [only] = commands;
    if (commands.length === 1 && only !== undefined) assertValues(line, [...only.options, ...GLOBAL_OPTIONS]);
    const parser = makeParser(commands, async (command, given, options) => {
      if (options.withoutConditions && ![...given.flat(), ...Object.values(options)].some(isOnObjectStore)) {
        throw new UsageError("--without-conditions is about object stores, and no s3:// URL is named");
      }
      const context = new Context(output, signal, options);
      const running = command.run(context, given, options as never);
      // What only looks has nothing to clean up, and need not wait for a server that is silent.
      code = await (command.group === "Look" ? unlessAborted(running, signal) : cleanedUp(running, signal)) ??
        EXIT.done;
    });
    await parser.parseAsync(line, { from: "user" });
    return signal.aborted ? exitCodeOfInterruption(signal) : code;
  } catch (error) {
    return failed(error, output, signal, name);
  }
}

const flagsOf = (flags: string): readonly string[] => flags.match(/--?[a-zA-Z][\w-]*/g) ?? [];
const takesValue = ({ flags }: { readonly flags: string }): boolean => flags.includes("<");

/**
 * Finds the command on a command line. `help list` is the same as `list --help`; the parser gets a command that does not exist without
 * anything else, so that it names the nearest.
 */
function readLine(args: readonly string[]): { readonly name?: string; readonly line: readonly string[] } {
  const valued = GLOBAL_OPTIONS.filter(takesValue).flatMap(({ flags }) => flagsOf(flags));
  const at = args.findIndex((arg, index) => !arg.startsWith("-") && !valued.includes(args[index - 1] ?? ""));
  const isHelp = args[at] === "help" && args[at + 1] !== undefined;
  const name = args[isHelp ? at + 1 : at];
  if (name === undefined || name === "help") return { line: args };
  return { name, line: isCommand(name) ? isHelp ? [name, "--help"] : args : [name] };
}

/** Throws if an option has another one in place of its value: `--tag --step 5` does not mean a tag "--step". */
function assertValues(line: readonly string[], options: readonly { readonly flags: string }[]): void {
  const all = [...options.flatMap(({ flags }) => flagsOf(flags)), "-h", "--help"];
  const end = line.indexOf("--");
  for (const [at, arg] of line.slice(0, end < 0 ? line.length : end).entries()) {
    const option = options.find(({ flags }) => flagsOf(flags).includes(arg));
    const value = line[at + 1] ?? "";
    if (option === undefined || !takesValue(option) || !all.includes(value)) continue;
    const long = flagsOf(option.flags).at(-1);
    throw new UsageError(`option '${option.flags}' argument missing; if "${value}" is meant, write ${long}=${value}`);
  }
}

function isOnObjectStore(value: unknown): boolean {
  return typeof value === "string" && URL.canParse(value) && isS3Url(new URL(value));
}

/** Waits for a command; after an interruption no longer than its clean-up may take. */
async function cleanedUp<T>(running: Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await unlessAborted(running, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    return await unlessAborted(running, AbortSignal.timeout(MOST_CLEANUP_MS));
  }
}

function exitCodeOfInterruption({ reason }: AbortSignal): ExitCode {
  return reason instanceof Interruption ? reason.exitCode : EXIT.interrupted;
}

function failed(error: unknown, output: Output, signal: AbortSignal, name = ""): ExitCode {
  output.stopProgress();
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.done;
    if (error.code !== "commander.help") output.error(mistakeOf(error, name), { exitCode: EXIT.usage });
    return EXIT.usage;
  }
  if (error instanceof BrokenPipe || output.isBroken) return EXIT.done;
  const exitCode = signal.aborted ? exitCodeOfInterruption(signal) : exitCodeOf(error);
  const code = isSnapshotError(error) ? error.code : undefined;
  output.error(signal.aborted ? "interrupted" : reasonOf(error), { exitCode, ...code === undefined ? {} : { code } });
  return exitCode;
}

/** What the parser complains of, and the way out. */
function mistakeOf({ message, code }: CommanderError, name: string): string {
  const mistake = message.replace(/^error: /, "").replace(/\n(?=\(Did you mean)/, " ").replace(/\.$/, "");
  const place = code === "commander.excessArguments" ? "; the store is named by -s <folder>" : "";
  return `${mistake}${place}\nSee snapkeep ${isCommand(name) ? `${name} ` : ""}--help`;
}
