import type { Freeze } from "@slipway/proto";
import { agoText, spanText } from "../quantities.js";
import { plain } from "../text.js";
import type { Look } from "./style.js";
import { table } from "./table.js";

/** Freezes, one a line. */
export function freezeTable(freezes: readonly Freeze[], look: Look): string {
  const headings = ["FREEZE", "OF", "ENDS", "BY", "CREATED", "REASON"];
  const rows = freezes.map((freeze) => [
    freeze.id,
    whatOf(freeze),
    endsText(freeze, look),
    freeze.actor,
    agoText(freeze.createTime, look.now),
    freeze.reason,
  ]);
  return table(headings, rows, look);
}

/** One freeze that was just made. */
export function freezeText(freeze: Freeze, look: Look): string {
  const id = plain(freeze.id);
  return (
    `freeze ${id}: ${plain(whatOf(freeze))} is frozen, ends ${endsText(freeze, look)}\n` +
    `End it sooner with: slipway freeze end ${id}\n`
  );
}

/** What is frozen, until when, by whom and why. */
export function frozenBy(freeze: Freeze, look: Look): string {
  const { actor, reason, expireTime } = freeze;
  const until = expireTime === undefined ? "" : ` until ${expireTime.toISOString()}`;
  return (
    `${plain(whatOf(freeze))} is frozen${until} (${endsText(freeze, look)})` +
    `${actor === "" ? "" : ` by ${plain(actor)}`}: ${plain(reason)}`
  );
}

/** What keeps a step from beginning, and until when. */
export function frozenText(freeze: Freeze, look: Look): string {
  return `${frozenBy(freeze, look)}; it begins then, or after: slipway freeze end ${plain(freeze.id)}`;
}

function whatOf({ application, region }: Freeze): string {
  return application === "" ? `region ${region}` : `application ${application}`;
}

function endsText({ expireTime }: Freeze, look: Look): string {
  return expireTime === undefined ? "" : `in ${spanText(expireTime.getTime() - look.now)}`;
}
