import { memberRoleName, type Token, TokenRole, tokenRoleName } from "@slipway/proto";
import { agoText, spanText } from "../quantities.js";
import { plain } from "../text.js";
import type { Colour, Look } from "./style.js";
import { table, type Cell } from "./table.js";

/** A token that ends within so many milliseconds is warned of, if that is a small part of its life. */
const SOON_MS = 7 * 24 * 3_600_000;

/** A warning that the token that was sent ends soon; empty if it does not. */
export function tokenEndText(expireTime: Date, now: number): string {
  const left = expireTime.getTime() - now;
  if (left > SOON_MS) return "";
  const when = left > 0 ? `ends in ${spanText(left)}` : "has just ended";
  return `the token that was sent ${when}: have an admin make the next one (slipway token create)`;
}

/** Tokens, one a line. */
export function tokenTable(tokens: readonly Token[], look: Look): string {
  const rows = tokens.map((token): Cell[] => [
    token.id,
    plain(token.name),
    roleText(token),
    limitsText(token),
    token.lastUseTime === undefined ? "never" : agoText(token.lastUseTime, look.now),
    state(token, look.now),
  ]);
  return table(["TOKEN", "NAME", "ROLE", "LIMITED TO", "USED", "VALID"], rows, look);
}

/** One token, in a sentence. */
export function tokenText(token: Token, look: Look): string {
  const limits = limitsText(token);
  const { text } = state(token, look.now);
  const only = limits === "" ? "" : `, limited to ${limits}`;
  return `${plain(token.name)}: role ${roleText(token)}${only}; valid ${text} (token ${plain(token.id)})\n`;
}

function roleText({ role }: Token): string {
  return tokenRoleName(role) ?? "";
}

function limitsText(token: Token): string {
  const { applications, region, subject, memberRole, maxUses, uses, role } = token;
  const member = memberRoleName(memberRole);
  const limits = [
    ...applications,
    region === "" ? "" : `region ${region}`,
    subject,
    role === TokenRole.ENROL && member !== undefined ? `${member}s` : "",
    maxUses === 0 ? "" : `${uses} of ${maxUses} uses`,
  ];
  return plain(limits.filter((limit) => limit !== "").join(", "));
}

function state(
  { revokeTime, createTime, expireTime, role }: Token,
  now: number,
): { text: string; colour: Colour | undefined } {
  if (revokeTime !== undefined) {
    return { text: `revoked ${agoText(revokeTime, now)}`, colour: "red" };
  }
  if (expireTime === undefined) return { text: "for ever", colour: undefined };
  const left = expireTime.getTime() - now;
  // Those to enrol are meant to end soon.
  const life = createTime === undefined ? Infinity : expireTime.getTime() - createTime.getTime();
  const isSoon = left <= SOON_MS && left < life / 3 && role !== TokenRole.ENROL;
  if (left > 0 && !isSoon) {
    return { text: `for ${spanText(left)}`, colour: undefined };
  }
  if (left > 0) return { text: `for ${spanText(left)}: ends soon`, colour: "yellow" };
  return { text: `expired ${agoText(expireTime, now)}`, colour: "red" };
}
