// Tables that fit the terminal: columns that matter less are left out, long texts are cut. Names are never cut, so that they can be
// copied. The only file that knows cli-table3 and string-width.
import Table from "cli-table3";
import stringWidth from "string-width";

/** A column of a table. */
export interface Column {
  /** Its heading. */
  readonly head: string;
  /** Columns with the highest rank are left out first if the terminal is too narrow; rank 0 always stays. */
  readonly rank: number;
  /** Where its cells stand. */
  readonly align?: "left" | "right";
  /** Whether its cells may be cut. */
  readonly isCut?: boolean;
}

const GAP = 2;
const LEAST_CUT = 8;
const ROWS_AT_ONCE = 10;
const NO_BORDER = Object.fromEntries(
  "top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid mid mid-mid right right-mid middle"
    .split(" ").map((name) => [name, ""]),
);

/**
 * Lays out rows in columns.
 *
 * @param columns The columns.
 * @param rows Cells as text that is safe on a terminal.
 * @param options `width` of the terminal, `Infinity` if there is none; `style` gives cells their colours.
 * @returns The lines.
 */
export function layOut(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  { width, style }: {
    readonly width: number;
    readonly style: (text: string, row: number | "head", column: number) => string;
  },
): string[] {
  const all = [columns.map(({ head }) => head), ...rows];
  const natural = columns.map((_, index) => Math.max(...all.map((row) => stringWidth(row[index] ?? ""))));
  const shown = columnsThatFit(columns, natural, width);
  const widths = shown.map((index) => natural[index] as number);
  const cut = shown.findIndex((index) => columns[index]?.isCut);
  if (cut >= 0) widths[cut] = Math.max(0, Math.min(widths[cut] as number, width - widthOf(widths.with(cut, 0))));
  const options = {
    chars: NO_BORDER,
    style: { head: [], border: [], "padding-left": 0, "padding-right": GAP, compact: true },
    colWidths: widths.map((each) => each + GAP),
    colAligns: shown.map((index) => columns[index]?.align ?? "left"),
  };
  const cells = all.map((row, at) =>
    shown.map((index) => {
      const text = row[index] ?? "";
      return text === "" ? "" : style(text, at === 0 ? "head" : at - 1, index);
    })
  );
  const lines: string[] = [];
  // The time that cli-table3 takes grows with the square of the rows.
  for (let at = 0; at < cells.length; at += ROWS_AT_ONCE) {
    const table = new Table(options);
    table.push(...cells.slice(at, at + ROWS_AT_ONCE));
    lines.push(...table.toString().split("\n").map((line) => line.trimEnd()));
  }
  return lines;
}

function widthOf(widths: readonly number[]): number {
  return widths.reduce((sum, each) => sum + each, 0) + GAP * Math.max(0, widths.length - 1);
}

function columnsThatFit(columns: readonly Column[], natural: readonly number[], width: number): number[] {
  let shown = [...columns.keys()].filter((index) => columns[index]?.rank === 0 || (natural[index] as number) > 0);
  const least = (index: number) =>
    columns[index]?.isCut ? Math.min(LEAST_CUT, natural[index] as number) : natural[index];
  while (widthOf(shown.map((index) => least(index) as number)) > width) {
    const last = shown.reduce((a, b) => (columns[b]?.rank ?? 0) > (columns[a]?.rank ?? 0) ? b : a);
    if (columns[last]?.rank === 0) break;
    shown = shown.filter((index) => index !== last);
  }
  return shown;
}
