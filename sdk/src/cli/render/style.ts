/** How output looks where it goes. */
export interface Look {
  /** Whether colours are wanted. */
  colour: boolean;
  /** Columns to keep to; Infinity where lines may be of any length. */
  columns: number;
  /** Now, in milliseconds since 1970. */
  now: number;
}

export type Colour = "red" | "green" | "yellow" | "cyan" | "dim" | "bold";

const CODES: Readonly<Record<Colour, number>> = {
  bold: 1,
  dim: 2,
  red: 31,
  green: 32,
  yellow: 33,
  cyan: 36,
};

/** The text in a colour, if colours are wanted. */
export function paint(look: Look, colour: Colour | undefined, text: string): string {
  if (!look.colour || colour === undefined || text === "") return text;
  return `\u001b[${CODES[colour]}m${text}\u001b[0m`;
}
