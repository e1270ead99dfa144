// What a terminal must never see: control, C1, bidi and other invisible characters in names, labels, errors and values. They are
// written as escapes. In JSON the escapes stand for the same text.

// Controls, formats (bidi, zero width, tags), lone surrogates, line and paragraph separators.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Returns a text as one line that is safe on a terminal. */
export function visible(text: string): string {
  return text.replaceAll(INVISIBLE, (character) => SHORT[character] ?? escaped(character));
}

/** Returns a text as lines that are safe on a terminal. */
export function visibleLines(text: string): string {
  return text.split("\n").map(visible).join("\n");
}

/** Returns a value as JSON without any invisible character; parsing it gives the same value. */
export function visibleJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(INVISIBLE, escaped);
}

/** Tells whether bytes are text that a terminal may see as it is: UTF-8 with no invisible character but newlines and tabs. */
export function isPlainText(bytes: Uint8Array): boolean {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.replaceAll(/\r?\n|\t/g, "").search(INVISIBLE) < 0;
  } catch {
    return false;
  }
}

function escaped(character: string): string {
  return character.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
}
