import { displayWidth, fit, plain } from "../text.js";
import { paint, type Colour, type Look } from "./style.js";

/** A cell: its text, and in which colour. */
export type Cell = string | { text: string; colour: Colour | undefined };

/**
 * Rows under headings, two spaces apart. Cells are made safe for a terminal; the last column is cut
 * where the line would not fit.
 */
export function table(headings: readonly string[], rows: readonly Cell[][], look: Look): string {
  const safe = rows.map((row) => row.map(cellParts));
  const widths = headings.map((heading, column) =>
    safe.reduce(
      (most, row) => Math.max(most, displayWidth(row[column]?.text ?? "")),
      heading.length,
    ),
  );
  const header = headings.map((text) => ({ text, colour: "dim" as const }));
  return [header, ...safe].map((row) => `${line(row, widths, look)}\n`).join("");
}

function cellParts(cell: Cell): { text: string; colour: Colour | undefined } {
  const { text, colour } = typeof cell === "string" ? { text: cell, colour: undefined } : cell;
  return { text: plain(text) || "-", colour };
}

function line(
  row: readonly { text: string; colour: Colour | undefined }[],
  widths: readonly number[],
  look: Look,
): string {
  let used = 0;
  let result = "";
  for (const [column, { text, colour }] of row.entries()) {
    const isLast = column === row.length - 1;
    const shown = isLast ? fit(text, Math.max(look.columns - used, 8)) : text;
    const width = widths[column] ?? 0;
    result += paint(look, colour, shown);
    if (!isLast) result += " ".repeat(width - displayWidth(shown) + 2);
    used += width + 2;
  }
  return result;
}

/** "name  value" lines, the names in one column. Empty values are left out. */
export function facts(pairs: readonly (readonly [string, Cell])[], look: Look): string {
  const shown = pairs.filter(([, cell]) => (typeof cell === "string" ? cell : cell.text) !== "");
  const width = shown.reduce((most, [name]) => Math.max(most, name.length), 0);
  return shown
    .map(([name, cell]) => {
      const { text, colour } = cellParts(cell);
      return `${paint(look, "dim", name.padEnd(width))}  ${paint(look, colour, text)}\n`;
    })
    .join("");
}
