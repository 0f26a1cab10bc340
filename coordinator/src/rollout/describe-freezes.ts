import type { Freeze } from "@slipway/proto";

/** Each as a phrase: "region eu is frozen until 2030-01-01T00:00:00.000Z by ann (holidays)". */
export function describeFreezes(freezes: readonly Freeze[]): string[] {
  return freezes.map(({ application, region, actor, reason, expireTime }) => {
    const what = application === "" ? `region ${region}` : `application ${application}`;
    const until = expireTime === undefined ? "" : ` until ${expireTime.toISOString()}`;
    return `${what} is frozen${until}${actor === "" ? "" : ` by ${actor}`} (${reason})`;
  });
}
