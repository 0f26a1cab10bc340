import type { DeploymentProgress } from "../../deployment-watch.js";
import { spanText } from "../quantities.js";
import { paint, type Colour, type Look } from "./style.js";

/** Since when what is shown may be old, and of what. */
export type Ages = Pick<DeploymentProgress, "unheardSince" | "staleSince">;

interface AgeChange {
  text: string;
  colour: Colour;
}

/** Why what is shown may be old, a sentence each, and for how long; nothing when it is not. */
export function ageTexts({ unheardSince, staleSince }: Ages, now: number): string[] {
  const lasting = (since: Date): string => spanText(now - since.getTime());
  return [
    unheardSince &&
      `the coordinator has not reached the global NATS for ${lasting(unheardSince)}: of regions and ` +
        "hosts this is what was last known, and their silence is not theirs",
    staleSince &&
      `the coordinator has not reached its Postgres for ${lasting(staleSince)}: this is the state of ` +
        "then; it is looked for again all the time",
  ].filter((text) => text !== undefined);
}

/** The same as lines before what is shown, for people. */
export function ageLines(ages: Ages, look: Look): string {
  return ageTexts(ages, look.now)
    .map((text) => `${paint(look, "yellow", text)}\n`)
    .join("");
}

/** What to say when one of these begins or is over. */
export function ageChanges(before: Ages | undefined, ages: Ages): AgeChange[] {
  const names = [
    ["unheardSince", "the global NATS", "regions and hosts are shown as last known"],
    ["staleSince", "its Postgres", "this is the state of then, and is looked for again"],
  ] as const;
  return names.flatMap(([key, server, meaning]): AgeChange[] => {
    const since = ages[key];
    if ((since === undefined) === (before?.[key] === undefined)) return [];
    if (since === undefined) {
      return [{ text: `the coordinator reaches ${server} again`, colour: "green" }];
    }
    const text = `the coordinator has not reached ${server} since ${since.toISOString()}: ${meaning}`;
    return [{ text, colour: "yellow" }];
  });
}

/** Regions, none blamed for silence that is the coordinator's. */
export function heardRegions({
  regions,
  unheardSince,
}: Pick<DeploymentProgress, "regions" | "unheardSince">): DeploymentProgress["regions"] {
  if (unheardSince === undefined) return regions;
  return regions.map((region) => ({ ...region, silent: false }));
}
