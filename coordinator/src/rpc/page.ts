import { invalidArgument } from "../errors.js";

/** A page's bounds: what was asked for, or the default. @throws INVALID_ARGUMENT above the most. */
export function pageSize(asked: number, { byDefault, most }: { byDefault: number; most: number }) {
  if (asked > most) {
    throw invalidArgument([{ field: "page_size", description: `must be at most ${most}` }]);
  }
  return asked === 0 ? byDefault : asked;
}

/** The position that a token names; undefined for an empty one. @throws INVALID_ARGUMENT */
export function decodePageToken(token: string, position: RegExp): string | undefined {
  if (token === "") return undefined;
  const text = token.length <= 500 ? Buffer.from(token, "base64url").toString() : "";
  const found = text.startsWith("1:") ? text.slice(2) : "";
  if (!position.test(found)) {
    const description = "must be the next_page_token of an earlier answer";
    throw invalidArgument([{ field: "page_token", description }]);
  }
  return found;
}

/** The token of the page after this one, opaque to callers; empty unless the page is full. */
export function nextPageToken<T>(
  page: readonly T[],
  limit: number,
  positionOf: (last: T) => string,
): string {
  const last = page.length === limit ? page.at(-1) : undefined;
  return last === undefined ? "" : encode(positionOf(last));
}

function encode(position: string): string {
  return Buffer.from(`1:${position}`).toString("base64url");
}
