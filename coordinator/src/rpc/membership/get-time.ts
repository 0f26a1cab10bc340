import type { GetTimeRequest, GetTimeResponse } from "@slipway/proto";
import type { Context } from "../../context.js";

export function getTime({ clock }: Context, _request: GetTimeRequest): Promise<GetTimeResponse> {
  return Promise.resolve({ time: new Date(clock.now()) });
}
