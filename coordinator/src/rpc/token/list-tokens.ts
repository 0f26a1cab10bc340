import type { ListTokensRequest, ListTokensResponse } from "@slipway/proto";
import * as store from "../../auth/token-store.js";
import type { Context } from "../../context.js";
import { decodePageToken, nextPageToken, pageSize } from "../page.js";
import { viewToken } from "./view.js";

const POSITION_PATTERN = /^\d{1,15} [0-9a-f]{24}$/;

export async function listTokens(
  { db }: Context,
  { includeEnded, pageSize: asked, pageToken }: ListTokensRequest,
): Promise<ListTokensResponse> {
  const limit = pageSize(asked, { byDefault: 100, most: 1_000 });
  const [time, id] = decodePageToken(pageToken, POSITION_PATTERN)?.split(" ") ?? [];
  const before =
    time === undefined || id === undefined ? undefined : { time: new Date(Number(time)), id };
  const tokens = await store.listTokens(db, { before, limit, includeEnded });
  return {
    tokens: tokens.map(viewToken),
    nextPageToken: nextPageToken(
      tokens,
      limit,
      ({ createTime, id: last }) => `${createTime.getTime()} ${last}`,
    ),
  };
}
