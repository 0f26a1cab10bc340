import {
  CreateTokenRequest,
  ListTokensRequest,
  RevokeTokenRequest,
  type Role,
  type Token,
  type TokenRole,
  TokenServiceService,
  WhoAmIRequest,
} from "@slipway/proto";
import type { Caller } from "./caller.js";
import { required } from "./errors.js";
import type { CallOptions } from "./options.js";
import { everyItem, type Page, type PageRequest } from "./pages.js";

/** What a new token is to be. */
export interface TokenRequest {
  /** Who acts with it: the actor that the audit shows. */
  name: string;
  role: TokenRole;
  /** At most 366 days from now. */
  expireTime: Date;
  /** Limits a viewer, deployer or admin to these. Default: all. */
  applications?: readonly string[];
  /** Limits a region's or an enrolment token to this one. Default: any. */
  region?: string;
  /** The only builder or member that may use it. Default: any. */
  subject?: string;
  /** What may join with an enrolment token. Default: a host. */
  memberRole?: Role;
  /** How many may join with an enrolment token. Default: any number. */
  maxUses?: number;
  /** Whether with an enrolment token another key may take the place of a member's. Default false. */
  allowRejoin?: boolean;
  /** Why, for people to read. Default empty. */
  reason?: string;
}

/** A token that was just made: its text is not to be had again. */
export interface NewToken {
  token: Token;
  /** What its holder gives as `token`. */
  text: string;
}

/** Which tokens to list. */
export interface TokenFilter {
  /** Those that were revoked or have expired as well. Default false. */
  includeEnded?: boolean;
}

/** Tokens: who may call, and what for. */
export interface Tokens {
  /** Not made again when its answer is lost. */
  create(request: TokenRequest, options?: CallOptions): Promise<NewToken>;
  /** All that fit, the newest first. */
  list(filter?: TokenFilter, options?: CallOptions): AsyncIterable<Token>;
  listPage(filter?: TokenFilter & PageRequest, options?: CallOptions): Promise<Page<Token>>;
  /**
   * Ends a token for good, within 5 s, calls in progress included.
   * @throws SlipwayError NOT_FOUND if there is none of that id.
   */
  revoke(request: { id: string; reason?: string }, options?: CallOptions): Promise<void>;
  /** This client's own token; undefined where coordinators ask for none. */
  whoAmI(options?: CallOptions): Promise<Token | undefined>;
}

export function createTokens(caller: Caller): Tokens {
  const { createToken, listTokens, revokeToken, whoAmI } = TokenServiceService;
  const listPage: Tokens["listPage"] = async (filter = {}, options) => {
    const request = ListTokensRequest.fromPartial(filter);
    const page = await caller.unary(listTokens, "idempotent", request, options);
    return { items: page.tokens, nextPageToken: page.nextPageToken };
  };
  return {
    create: async ({ applications = [], ...fields }, options) => {
      const request = CreateTokenRequest.fromPartial({
        ...fields,
        applications: [...applications],
      });
      const { token, text } = await caller.unary(createToken, "once", request, options);
      return { token: required(token, "CreateToken", "token"), text };
    },
    list: (filter, options) =>
      everyItem((pageToken) => listPage({ ...filter, pageToken }, options)),
    listPage,
    revoke: async (fields, options) => {
      const request = RevokeTokenRequest.fromPartial(fields);
      await caller.unary(revokeToken, "idempotent", request, options);
    },
    whoAmI: async (options) => {
      const request = WhoAmIRequest.fromPartial({});
      return (await caller.unary(whoAmI, "idempotent", request, options)).token;
    },
  };
}
