import {
  CreateFreezeRequest,
  EndFreezeRequest,
  FreezeServiceService,
  ListFreezesRequest,
  type Freeze,
} from "@slipway/proto";
import type { Caller } from "./caller.js";
import { required } from "./errors.js";
import type { CallOptions } from "./options.js";

/** What not to change for a time, and why. */
export interface FreezeRequest {
  /** The application to freeze. Give this or `region`. */
  application?: string;
  /** The region to freeze, for every application. */
  region?: string;
  /** Who asks, for people to read. Default empty. */
  actor?: string;
  /** Why, for people to read. Required. */
  reason: string;
  /** When it ends by itself; at most 90 days from now. */
  expireTime: Date;
}

/** Who ends a freeze before its time, and why. */
export interface EndFreeze {
  /** Default empty. */
  actor?: string;
  /** Default empty. */
  reason?: string;
}

/** Times in which nothing new begins; roll-backs and aborts are never held up. */
export interface Freezes {
  /**
   * No deployment of the application, or in the region, is created without `overrideFreeze`, and no
   * step of a running one begins in it. Not made again when its answer is lost.
   * @throws SlipwayError INVALID_ARGUMENT for a bad time or a missing reason.
   */
  create(request: FreezeRequest, options?: CallOptions): Promise<Freeze>;
  /** Those in force, the ones that expire first in front. */
  list(options?: CallOptions): Promise<Freeze[]>;
  /**
   * Ends one now; ending one that has ended changes nothing.
   * @throws SlipwayError NOT_FOUND for an unknown id.
   */
  end(id: string, request?: EndFreeze, options?: CallOptions): Promise<void>;
}

export function createFreezes(caller: Caller): Freezes {
  return {
    create: async (fields, options) => {
      const { freeze } = await caller.unary(
        FreezeServiceService.createFreeze,
        "once",
        CreateFreezeRequest.fromPartial(fields),
        options,
      );
      return required(freeze, "CreateFreeze", "freeze");
    },
    list: async (options) => {
      const { freezes } = await caller.unary(
        FreezeServiceService.listFreezes,
        "idempotent",
        ListFreezesRequest.fromPartial({}),
        options,
      );
      return freezes;
    },
    end: async (id, request = {}, options) => {
      await caller.unary(
        FreezeServiceService.endFreeze,
        "idempotent",
        EndFreezeRequest.fromPartial({ ...request, id }),
        options,
      );
    },
  };
}
