// The rules of docs/format.md, section 2, once more: read from the document alone, slowly, letter by letter.

const FORBIDDEN = '\\<>:"|?*';
const RESERVED = new Set(["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]);
for (const device of ["COM", "LPT"]) for (const digit of "0123456789¹²³") RESERVED.add(device + digit);

const byteLength = (text: string): number => new TextEncoder().encode(text).length;

/** Upper case of ASCII alone: names of devices have no other letters. */
const asciiUpper = (text: string): string => text.replaceAll(/[a-z]/g, (letter) => letter.toUpperCase());

function isSafeSegment(segment: string): boolean {
  if (segment === "" || segment === "." || segment === "..") return false;
  if (byteLength(segment) > 255) return false;
  for (const letter of segment) {
    const code = letter.codePointAt(0) as number;
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return false;
    if (code >= 0xd800 && code <= 0xdfff) return false;
    if (code === 0x2028 || code === 0x2029 || /^\p{Format}$/u.test(letter)) return false;
    if (FORBIDDEN.includes(letter)) return false;
  }
  const last = segment.at(-1);
  if (last === "." || last === " ") return false;
  const [stem = ""] = segment.split(".");
  return !RESERVED.has(asciiUpper(stem.replace(/ +$/, "")));
}

/** Whether a path is an entry path by the document. */
export function isSafePath(path: string): boolean {
  const segments = path.split("/");
  if (byteLength(path) > 1024 || segments.length > 64) return false;
  for (const segment of segments) {
    const normal = segment.normalize("NFKC");
    if (!isSafeSegment(segment) || normal.includes("/") || !isSafeSegment(normal)) return false;
  }
  return true;
}

/** Whether a name is a state's by the document. */
export function isSafeStateName(name: string): boolean {
  const own = ["manifest.json", "stargz.index.json"].map(keyOf);
  return isSafePath(name) && !name.includes("/") && !name.startsWith(".") && !own.includes(keyOf(name));
}

/** What paths are compared by, as the document says. */
export function keyOf(path: string): string {
  const seen = [...path.normalize("NFKC")].filter((letter) => !/^\p{Default_Ignorable_Code_Point}$/u.test(letter));
  return seen.join("").toLowerCase().toUpperCase().toLowerCase().normalize("NFKC");
}

/** Names that file systems of some kind take for one another: each folds in a way of its own. */
export const FOLDINGS: readonly ((path: string) => string)[] = [
  (path) => path,
  (path) => path.toLowerCase(),
  (path) => path.toUpperCase(),
  (path) => path.normalize("NFD"),
  (path) => path.normalize("NFC").toLowerCase(),
  (path) => path.normalize("NFD").toUpperCase(),
  (path) => path.normalize("NFKC").toUpperCase().normalize("NFKC"),
  (path) => path.normalize("NFKD").toLowerCase().normalize("NFKD"),
  keyOf,
];

const foldersOf = (path: string): string[] => {
  const segments = path.split("/");
  return segments.slice(1).map((_, index) => segments.slice(0, index + 1).join("/"));
};

/** Whether two files cannot lie in one tree where names are folded so. */
export function collide(one: string, other: string, fold: (path: string) => string): boolean {
  if (fold(one) === fold(other)) return true;
  if (foldersOf(one).some((folder) => fold(folder) === fold(other))) return true;
  if (foldersOf(other).some((folder) => fold(folder) === fold(one))) return true;
  return foldersOf(one).some((mine) =>
    foldersOf(other).some((theirs) => mine !== theirs && fold(mine) === fold(theirs))
  );
}
