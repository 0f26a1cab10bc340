import { TokenServiceService, type TokenServiceServer } from "@slipway/proto";
import { admin, ANY_TOKEN, fleet } from "../../auth/rules.js";
import type { Handlers, ServiceEntry } from "../handler.js";
import { createToken } from "./create-token.js";
import { listTokens } from "./list-tokens.js";
import { revokeToken } from "./revoke-token.js";
import { whoAmI } from "./who-am-i.js";

export function tokenService(handlers: Handlers): ServiceEntry {
  const implementation: TokenServiceServer = {
    // A token that is limited could hand out one that is not.
    createToken: handlers.unary(admin(fleet, "actor"), createToken),
    listTokens: handlers.unary(admin(fleet), listTokens),
    revokeToken: handlers.unary(admin(fleet, "actor"), revokeToken),
    whoAmI: handlers.unary(ANY_TOKEN, whoAmI),
  };
  return { definition: TokenServiceService, implementation };
}
