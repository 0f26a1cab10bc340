import { ApplicationGoal, NAME_PATTERN } from "@slipway/proto";
import type { Logger } from "pino";
import type { Stats } from "../stats.js";
import type { GoalBucket } from "./goal-bucket.js";
import type { GoalSigner } from "./signing.js";

/** Keys that are looked for in the database at once. */
const AT_ONCE = 1_000;

interface Options {
  bucket: GoalBucket;
  signer: Pick<GoalSigner, "open">;
  log: Logger;
  stats: Pick<Stats, "nonsense">;
}

/** Answers those of the names that are of applications with a goal. */
export type FindKnown = (names: readonly string[]) => Promise<ReadonlySet<string>>;

/**
 * Takes out of the bucket what somebody put there for applications that have no goal. What the fleet
 * signed is left alone, with an alarm: hosts obey it, and the database may have lost it. So are keys
 * that no application can have: a newer coordinator may know what they are.
 * @throws NatsError if NATS is away.
 */
export async function removeStrayGoals(options: Options, findKnown: FindKnown): Promise<void> {
  const names = (await options.bucket.keys()).filter((key) => NAME_PATTERN.test(key));
  for (let from = 0; from < names.length; from += AT_ONCE) {
    const some = names.slice(from, from + AT_ONCE);
    const known = await findKnown(some);
    for (const name of some) if (!known.has(name)) await removeStray(options, name);
  }
}

async function removeStray({ bucket, signer, log, stats }: Options, name: string): Promise<void> {
  const entry = await bucket.getValue(name);
  if (entry?.value === undefined) return;
  const { revision, value } = entry;
  const generation = signedGeneration(signer, name, value);
  if (generation !== undefined) {
    log.error(
      { application: name, ahead: generation },
      "the goal bucket holds a goal that the fleet signed, of an application that the database has " +
        "deployed nowhere, and is left alone: was a backup restored? A deployment takes its place",
    );
    return;
  }
  if (!(await bucket.removeValue(name, revision))) return;
  stats.nonsense.add("goal");
  log.error(
    { application: name },
    "a goal that nobody here signed, of no application, was removed",
  );
}

/** The highest that the fleet signed for the application; undefined if it signed nothing of it. */
function signedGeneration(
  signer: Pick<GoalSigner, "open">,
  name: string,
  value: Uint8Array,
): number | undefined {
  try {
    const goals = Object.values(ApplicationGoal.decode(value).regions).flatMap(
      (signed) => signer.open(signed) ?? [],
    );
    const own = goals.filter(({ application }) => application === name);
    return own.length === 0 ? undefined : Math.max(...own.map(({ generation }) => generation));
  } catch {
    return undefined;
  }
}
