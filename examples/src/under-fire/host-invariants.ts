import { hostBucket, selectorTakes } from "@slipway/agent";
import type { Facts, GoalFact, HostFact } from "./facts.js";
import { forgotten, newest } from "./newest.js";
import type { Findings } from "./verdict.js";

/** What hosts have in use that their signed goal does not name, nor one since the last success. */
export function unsignedReleases(facts: Facts): string[] {
  return facts.hosts.flatMap((fact) => {
    const goal = regionalGoal(facts.goals, fact);
    const obeyed = goal?.isSigned === true && takes(goal, fact) ? goal : undefined;
    const named = [obeyed?.runDigest, obeyed?.previousDigest];
    const kept = obeyed === undefined ? [] : toldBefore(facts, obeyed, fact);
    const allowed = new Set([...named, ...kept].filter((digest) => digest !== undefined));
    const faults: string[] = [];
    if (fact.damage !== undefined) faults.push(fact.damage);
    else if (fact.digest !== undefined && !allowed.has(fact.digest)) {
      const said = [...allowed].join(" or ") || "nothing";
      faults.push(`has ${fact.digest} in use; its goal says ${said}`);
    }
    if (fact.strays > 0) faults.push(`has ${fact.strays} processes of releases not in use`);
    if (fact.digest === undefined && fact.processes > 0) faults.push("runs what is not in use");
    return faults.map((fault) => `${fact.host}, ${fact.application}: ${fault}`);
  });
}

/**
 * What a host may have kept: a goal that tells it to hold leaves what an earlier one told it to run,
 * be that of a deployment which was superseded or aborted. A success is told to all of
 * them, and so is a removal.
 */
function toldBefore(
  { deployments, applications }: Pick<Facts, "deployments" | "applications">,
  { application, generation }: GoalFact,
  { host, region }: HostFact,
): (string | undefined)[] {
  const before = deployments.filter(
    (each) => each.application === application && each.generation < generation,
  );
  const succeeded = before.filter(({ state }) => state === "SUCCEEDED");
  const removal = applications.find(({ name }) => name === application)?.removalGeneration ?? 0;
  const last = Math.max(removal, ...succeeded.map((each) => each.generation));
  return before
    .filter((each) => each.generation >= last)
    .filter(({ id, limits }) => hostBucket(host, id) < (limits[region] ?? 0))
    .map(({ runDigest }) => runDigest);
}

/** Hosts that do not run what a deployment has brought to all of them. */
export function otherReleases(facts: Facts): Findings {
  const { hosts, goals } = facts;
  let checked = 0;
  const violations: string[] = [];
  for (const deployment of newest(facts)) {
    // After another end, hosts may rightly run either of two releases.
    if (deployment.state !== "SUCCEEDED") continue;
    for (const fact of hosts) {
      if (fact.application !== deployment.application) continue;
      const goal = regionalGoal(goals, fact);
      if (goal !== undefined && !takes(goal, fact)) continue;
      checked++;
      const { runDigest } = deployment;
      const where = `${fact.host}, ${fact.application}:`;
      if (fact.digest !== runDigest) violations.push(`${where} ${fact.digest}, not ${runDigest}`);
      else if (fact.processes === 0) violations.push(`${where} its release does not run`);
    }
  }
  return [checked, violations];
}

/** Hosts that still have an application which was removed. */
export function keptApplications(facts: Facts): Findings {
  const gone = new Set(forgotten(facts).map(({ name }) => name));
  const hosts = facts.hosts.filter(({ application }) => gone.has(application));
  const kept = hosts.filter((fact) => fact.digest !== undefined || running(fact) > 0);
  return [
    hosts.length,
    kept.map((fact) => {
      const has = `${fact.digest ?? "nothing"} in use and ${running(fact)} processes`;
      return `${fact.host}, ${fact.application}: was removed; has ${has}`;
    }),
  ];
}

/** Deployments that are counted by other hosts than those of the fleet that are asked. */
export function miscounts(facts: Facts): Findings {
  const violations = newest(facts).flatMap(({ application }) =>
    facts.counts
      .filter((count) => count.application === application)
      .flatMap(({ region, hosts: counted }) => {
        const taken = facts.hosts.filter((fact) => {
          const goal = regionalGoal(facts.goals, fact);
          const isHere = fact.application === application && fact.region === region;
          return isHere && goal !== undefined && takes(goal, fact);
        });
        if (counted === taken.length) return [];
        return [`${application} in ${region}: ${counted} hosts counted, of ${taken.length}`];
      }),
  );
  return [facts.counts.length, violations];
}

/** Hosts that switched although their deployment never told them to, be it after its end. */
export function unaskedSwitches({ deployments, switches }: Facts): Findings {
  const limits = new Map(deployments.map(({ id, limits: last }) => [id, last]));
  const violations = switches.flatMap(({ host, region, application, deploymentId }) => {
    // Limits never fall: the last ones took all hosts that were ever told.
    const limit = limits.get(deploymentId)?.[region] ?? 0;
    const bucket = hostBucket(host, deploymentId);
    if (bucket < limit) return [];
    const what = `${host}, ${application}: switched for ${deploymentId}`;
    return [`${what}, as bucket ${bucket}, although only those below ${limit} were told to`];
  });
  return [switches.length, violations];
}

const running = ({ processes, strays }: HostFact): number => processes + strays;

function takes(goal: GoalFact, { labels }: HostFact): boolean {
  return !goal.isRemoval && selectorTakes(goal.selector, labels);
}

function regionalGoal(goals: readonly GoalFact[], fact: HostFact): GoalFact | undefined {
  return goals.find(
    ({ bucket, region, application }) =>
      bucket === "regional" && region === fact.region && application === fact.application,
  );
}
