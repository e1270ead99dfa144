// What the commands write: results to stdout, messages and bars to stderr. All text passes here, and leaves without escape sequences
// but those of our own colours.
import process from "node:process";
import { styleText } from "node:util";
import type { BarTexts } from "./bar.ts";
import type { Column } from "./table.ts";
import { visible, visibleJson, visibleLines } from "./visible.ts";

/** Colours of texts. */
export type Style = "bold" | "dim" | "green" | "red" | "yellow" | "cyan";

/** A cell: a text, or one with a colour. */
export type Cell = string | readonly [text: string, style: Style];

const textOf = (cell: Cell): string => typeof cell === "string" ? cell : cell[0];

/** Shows how far a command is. */
export interface Progress {
  /** Sets the bytes done of one of the snapshots that the command works on. */
  set(snapshot: string, doneBytes: number): void;
  /** Removes the bar. */
  stop(): void;
}

/** Writes results and messages. */
export class Output {
  /** Whether results are JSON. */
  readonly isJson: boolean;
  #bar: { hide(): void; stop(): void } | undefined;
  #isBroken = false;

  constructor({ isJson }: { readonly isJson: boolean }) {
    this.isJson = isJson;
    const onError = (error: NodeJS.ErrnoException): void => {
      // The reader has closed the pipe: the command ends.
      if (error.code === "EPIPE") this.#isBroken = true;
      else throw error;
    };
    process.stdout.on("error", onError);
    process.stderr.on("error", onError);
  }

  /** Whether the reader of stdout has closed it. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Whether stdout is a terminal. */
  get isTerminal(): boolean {
    return process.stdout.isTTY === true;
  }

  /** Writes one line of cells to stdout. */
  async line(...cells: readonly Cell[]): Promise<void> {
    await this.bytes(`${cells.map((cell) => this.#styled(visible(textOf(cell)), cell)).join("")}\n`);
  }

  /** Writes a value to stdout as one line of JSON. */
  async json(value: object): Promise<void> {
    await this.bytes(`${visibleJson(value)}\n`);
  }

  /** Writes a table to stdout, as wide as the terminal. */
  async table(columns: readonly Column[], rows: readonly (readonly Cell[])[]): Promise<void> {
    const { layOut } = await import("./table.ts");
    const lines = layOut(columns, rows.map((row) => row.map((cell) => visible(textOf(cell)))), {
      width: this.isTerminal ? process.stdout.columns || 80 : Infinity,
      style: (text, row, column) =>
        row === "head" ? this.#styled(text, ["", "bold"]) : this.#styled(text, rows[row]?.[column] ?? ""),
    });
    await this.bytes(lines.map((line) => `${line}\n`).join(""));
  }

  /** Writes bytes to stdout as they are, and waits until they are taken. */
  async bytes(chunk: Uint8Array | string): Promise<void> {
    if (this.#isBroken) throw new BrokenPipe();
    if (this.isTerminal) this.#bar?.hide();
    await new Promise<void>((resolve, reject) => {
      process.stdout.write(chunk, (error) => {
        if (error === null || error === undefined) resolve();
        else if ((error as NodeJS.ErrnoException).code === "EPIPE") reject(new BrokenPipe());
        else reject(error);
      });
    });
  }

  /** Writes a message to stderr. */
  message(text: string, style?: Style): void {
    this.#bar?.hide();
    const shown = visibleLines(text);
    process.stderr.write(
      `${style === undefined ? shown : styleText(style, shown, { stream: process.stderr, validateStream: true })}\n`,
    );
  }

  /** Writes what failed to stderr. */
  error(text: string, details: { readonly exitCode: number; readonly code?: string | undefined }): void {
    this.#bar?.hide();
    if (this.isJson) {
      process.stderr.write(`${visibleJson({ type: "error", ...details, message: text })}\n`);
      return;
    }
    const prefix = styleText("red", "error:", { stream: process.stderr, validateStream: true });
    process.stderr.write(`${prefix} ${visibleLines(text)}\n`);
  }

  /** Removes the bar of a command that ends early; none appears again. */
  stopProgress(): void {
    this.#bar?.stop();
  }

  /**
   * Shows a bar on stderr if that is a terminal. A line that is written meanwhile takes its place; the next bytes show it below.
   *
   * @param task What is done.
   * @param totalBytes All bytes of all snapshots.
   */
  async progress(task: string, totalBytes: number): Promise<Progress> {
    if (process.stderr.isTTY !== true || totalBytes === 0) return { set: () => {}, stop: () => {} };
    const [{ startBar }, { sizeText, timeText }] = await Promise.all([import("./bar.ts"), import("./readable.ts")]);
    const texts: BarTexts = { size: sizeText, time: timeText };
    const bar = startBar(process.stderr, visible(task), totalBytes, texts);
    const done = new Map<string, number>();
    let sum = 0;
    const progress: Progress = {
      set: (snapshot, doneBytes) => {
        sum += doneBytes - (done.get(snapshot) ?? 0);
        done.set(snapshot, doneBytes);
        bar.set(sum);
      },
      stop: () => {
        if (this.#bar !== bar) return;
        this.#bar = undefined;
        bar.stop();
      },
    };
    this.#bar = bar;
    return progress;
  }

  #styled(text: string, cell: Cell): string {
    if (typeof cell === "string") return text;
    return styleText(cell[1], text, { stream: process.stdout, validateStream: true });
  }
}

/** The reader of stdout has closed it; the command ends quietly. */
export class BrokenPipe extends Error {
  override readonly name = "BrokenPipe";
}
