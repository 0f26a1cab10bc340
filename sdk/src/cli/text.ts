/* oxlint-disable no-control-regex -- control characters are what this file is about */

/** CSI, OSC and the other escape sequences of terminals. */
const ESCAPES =
  /\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b[PX^_][^\u001b]*(?:\u001b\\)?|\u001b[ -/]*[0-~]|\u009b[0-?]*[ -/]*[@-~]/g;
/** Colours and the like: the one kind of sequence that only changes how text looks. */
const COLOUR = /^\u001b\[[0-9;:]*m$/;
/** What moves the cursor, rings, or turns the direction of text. */
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
/** Those that JSON leaves as they are. */
const JSON_CONTROLS = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** A name or message made safe for one line: control characters are written out, as `\u001b`. */
export function plain(text: string): string {
  return text.replace(CONTROLS, escaped);
}

/** As `plain`, but lines stay lines. */
export function plainLines(text: string): string {
  return text.split(/\r?\n/).map(plain).join("\n");
}

/** As `plain`, but lines are joined by slashes. */
export function oneLine(text: string): string {
  return plain(text.trim().replaceAll(/\s*\n\s*/g, " / "));
}

/** A value as JSON that steers no terminal: what a reader of JSON gets of it is the same. */
export function jsonText(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(JSON_CONTROLS, escaped);
}

/**
 * A log line made safe for a terminal: every escape sequence goes, except colours where they are
 * wanted; tabs stay; other control characters go.
 */
export function logText(text: string, colours: boolean): string {
  let coloured = false;
  const parts = text.replace(ESCAPES, (sequence) => {
    if (!colours || !COLOUR.test(sequence)) return "";
    coloured = true;
    return sequence;
  });
  const safe = parts.replace(CONTROLS, (character, at: number) => {
    if (character === "\t") return character;
    if (character !== "\u001b" || !coloured) return "";
    return /^\u001b\[[0-9;:]*m/.test(parts.slice(at)) ? character : "";
  });
  return coloured ? `${safe}\u001b[0m` : safe;
}

/** Columns that it takes on a terminal. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text.replace(ESCAPES, "")) {
    if (/[\p{M}\p{Cf}]/u.test(character)) continue;
    width += WIDE.test(character) ? 2 : 1;
  }
  return width;
}

/** East Asian wide characters and pictures, roughly. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Extended_Pictographic}(?<![\u0000-\u2bff])/u;

/** The text, cut with "…" if it takes more than so many columns. Colours must come after this. */
export function fit(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  let result = "";
  let width = 0;
  for (const character of text) {
    const more = displayWidth(character);
    if (width + more > columns - 1) break;
    result += character;
    width += more;
  }
  return columns < 1 ? "" : `${result}…`;
}

function escaped(character: string): string {
  if (character === "\n") return "\\n";
  if (character === "\t") return "\\t";
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
