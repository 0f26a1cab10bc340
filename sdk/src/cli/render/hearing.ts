import type { DeploymentProgress } from "../../deployment-watch.js";
import { spanText } from "../quantities.js";
import { plain } from "../text.js";
import { paint, type Colour, type Look } from "./style.js";

/** Since when what is shown may be old, and of what. */
export type Ages = Pick<DeploymentProgress, "unheardSince" | "staleSince">;

/** Regions whose hosts cannot be heard, a line each. */
export function natsAwayLines(since: Readonly<Record<string, Date>>, look: Look): string {
  return Object.entries(since)
    .map(([region, time]) => {
      const lasting = spanText(look.now - time.getTime());
      const text = `the NATS of region ${plain(region)} has been away for ${lasting}: its hosts cannot be heard`;
      return `${paint(look, "yellow", text)}\n`;
    })
    .join("");
}

const SERVERS = [
  {
    key: "unheardSince",
    since: "has not heard over the global NATS",
    back: "hears over the global NATS",
    meaning: "regions and hosts are shown as last known",
  },
  {
    key: "staleSince",
    since: "has not reached its Postgres",
    back: "reaches its Postgres",
    meaning: "this is the state of then, and is looked for again",
  },
] as const;

interface AgeChange {
  text: string;
  colour: Colour;
}

/** Why what is shown may be old, a sentence each, and for how long; nothing when it is not. */
export function ageTexts({ unheardSince, staleSince }: Ages, now: number): string[] {
  const lasting = (since: Date): string => spanText(now - since.getTime());
  return [
    unheardSince &&
      `the coordinator has not heard over the global NATS for ${lasting(unheardSince)}: of regions and ` +
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
  return SERVERS.flatMap(({ key, since, back, meaning }): AgeChange[] => {
    const time = ages[key];
    if ((time === undefined) === (before?.[key] === undefined)) return [];
    return time === undefined
      ? [{ text: `the coordinator ${back} again`, colour: "green" }]
      : [
          {
            text: `the coordinator ${since} since ${time.toISOString()}: ${meaning}`,
            colour: "yellow",
          },
        ];
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
