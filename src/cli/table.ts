// Tables that fit the terminal: columns that matter less are left out, long texts are cut. Names are never cut, so that they can be
// copied. The only file that knows string-width.
import stringWidth from "string-width";

/** A column of a table. */
export interface Column {
  /** Its heading. */
  readonly head: string;
  /** In a narrow terminal, columns are taken in order of rank, each if there is room for it; rank 0 always stays. */
  readonly rank: number;
  /** Where its cells stand. */
  readonly align?: "left" | "right";
  /** Whether its cells may be cut. */
  readonly isCut?: boolean;
}

const GAP = 2;
const LEAST_CUT = 8;
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
  const natural = columns.map((_, index) => Math.max(...all.map((row) => widthIn(row[index] ?? ""))));
  const shown = columnsThatFit(columns, natural, width);
  const widths = shown.map((index) => natural[index] as number);
  const cut = shown.findIndex((index) => columns[index]?.isCut);
  if (cut >= 0) widths[cut] = Math.max(0, Math.min(widths[cut] as number, width - widthOf(widths.with(cut, 0))));
  return all.map((row, at) =>
    shown.map((index, place) => {
      const width = widths[place] as number;
      const text = cutTo(row[index] ?? "", width);
      const pad = " ".repeat(Math.max(0, width - widthIn(text)));
      const styled = text === "" ? "" : style(text, at === 0 ? "head" : at - 1, index);
      return columns[index]?.align === "right" ? pad + styled : styled + pad;
    }).join(" ".repeat(GAP)).trimEnd()
  );
}

/** Columns that a text takes up on a terminal. */
function widthIn(text: string): number {
  return /^[ -~]*$/.test(text) ? text.length : stringWidth(text);
}

/** A text that is at most so wide, with an ellipsis if it was cut. */
function cutTo(text: string, width: number): string {
  if (widthIn(text) <= width) return text;
  let cut = "";
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    if (widthIn(cut + segment) > width - 1) break;
    cut += segment;
  }
  return width < 1 ? "" : `${cut}…`;
}

function widthOf(widths: readonly number[]): number {
  return widths.reduce((sum, each) => sum + each, 0) + GAP * Math.max(0, widths.length - 1);
}

function columnsThatFit(columns: readonly Column[], natural: readonly number[], width: number): number[] {
  const rank = (index: number): number => columns[index]?.rank as number;
  const least = (index: number): number =>
    columns[index]?.isCut ? Math.min(LEAST_CUT, natural[index] as number) : natural[index] as number;
  const candidates = [...columns.keys()].filter((index) => rank(index) === 0 || natural[index] as number > 0);
  const shown: number[] = [];
  for (const index of candidates.sort((a, b) => rank(a) - rank(b))) {
    if (rank(index) === 0 || widthOf([...shown, index].map(least)) <= width) shown.push(index);
  }
  return shown.sort((a, b) => a - b);
}
