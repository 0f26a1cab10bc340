import { type Member, memberRoleName } from "@slipway/proto";
import { agoText, spanText } from "../quantities.js";
import type { Look } from "./style.js";
import { table, type Cell } from "./table.js";

/** Members, one a line. */
export function memberTable(members: readonly Member[], look: Look): string {
  const rows = members.map((member): Cell[] => [
    member.id,
    memberRoleName(member.role) ?? "",
    member.region,
    agoText(member.joinTime, look.now),
    agoText(member.renewTime, look.now),
    state(member, look.now),
  ]);
  return table(["MEMBER", "ROLE", "REGION", "JOINED", "RENEWED", "CERTIFICATE"], rows, look);
}

function state({ revokeTime, releaseTime, expireTime }: Member, now: number): Cell {
  if (revokeTime !== undefined)
    return { text: `revoked ${agoText(revokeTime, now)}`, colour: "red" };
  const left = (expireTime?.getTime() ?? now) - now;
  const released = releaseTime === undefined ? "" : ", released: another key may join";
  if (left > 0) return `for ${spanText(left)}${released}`;
  return { text: `ended ${agoText(expireTime, now)}${released}`, colour: "yellow" };
}
