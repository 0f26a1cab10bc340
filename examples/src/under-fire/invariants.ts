import { auditGaps } from "./audit-invariants.js";
import type { BuildChange, Facts } from "./facts.js";
import { frozenBeginnings } from "./freeze-invariants.js";
import { disagreements } from "./goal-invariants.js";
import { untoldEnds } from "./hook-invariants.js";
import {
  keptApplications,
  miscounts,
  otherReleases,
  unaskedSwitches,
  unsignedReleases,
} from "./host-invariants.js";
import { FINAL_DEPLOYMENT } from "./newest.js";
import { type Findings, grouped, type Verdict } from "./verdict.js";

const FINAL_BUILD = new Set(["SUCCEEDED", "FAILED"]);

/** Judges what is known of a run that is quiet. */
export function checkInvariants(facts: Facts): Verdict[] {
  return [
    verdict("every build ends", facts.submittedBuilds.length, unendedBuilds(facts)),
    verdict("no build has two results", facts.buildChanges.length, twoResults(facts)),
    verdict("no attempt is given twice", facts.leases.length, repeatedLeases(facts)),
    verdict("every deployment ends", facts.deployments.length, unendedDeployments(facts)),
    verdict("final is final, and limits stand or rise", ...setBacks(facts)),
    verdict("nothing begins while it is frozen", ...frozenBeginnings(facts)),
    verdict("each change is in the audit log once", ...auditGaps(facts)),
    verdict("no watcher misses an end", facts.watches.length, missedEnds(facts)),
    verdict("hooks are told of every end", ...untoldEnds(facts)),
    verdict("the goals agree with Postgres", facts.goals.length, disagreements(facts)),
    verdict("hosts run what a signed goal says", facts.hosts.length, unsignedReleases(facts)),
    verdict("hosts run what the last goal says", ...otherReleases(facts)),
    verdict("hosts forget what was removed", ...keptApplications(facts)),
    verdict("only hosts that were told to switch", ...unaskedSwitches(facts)),
    verdict("hosts of the fleet are counted, and no others", ...miscounts(facts)),
    verdict("no generation falls on a host", facts.looks, [...facts.falls]),
    verdict("no member is turned away", facts.refusalLogs, turnedAway(facts)),
    verdict("nobody is surprised", facts.surprises.length, [...facts.surprises]),
  ];
}

function verdict(invariant: string, checked: number, violations: string[]): Verdict {
  return { invariant, checked, violations };
}

/** Faults must not hide that somebody's token, certificate or user does not let it do its work. */
function turnedAway({ refusals, audit }: Facts): string[] {
  const refused = audit.filter(({ action }) => action === "token.refused");
  return [...refusals, ...refused.map(({ subject }) => `a token was refused: ${subject}`)];
}

function unendedBuilds({ submittedBuilds, builds }: Facts): string[] {
  const status = new Map(builds.map((build) => [build.id, build.status]));
  const lost = submittedBuilds.filter((id) => !status.has(id)).map((id) => `build ${id} is lost`);
  const open = builds.filter((build) => !FINAL_BUILD.has(build.status));
  return [...lost, ...open.map((build) => `build ${build.id} is ${build.status}`)];
}

function twoResults({ builds, buildChanges }: Facts): string[] {
  const changes = grouped(buildChanges, ({ id }) => id);
  return builds.flatMap((build) => {
    const own = changes.get(build.id) ?? [];
    const results = own.filter(({ status }) => FINAL_BUILD.has(status));
    const said = results.map(({ status, attempt }) => `${status} of attempt ${attempt}`);
    const [first] = results;
    if (results.length > 1) return [`build ${build.id} ended as ${said.join(", then ")}`];
    if (first !== undefined && own.at(-1) !== first) return [`build ${build.id} went on`];
    if (first !== undefined && first.artifactDigest !== build.artifactDigest) {
      return [`build ${build.id} has another artifact than it ended with`];
    }
    const falls = own.some((change, index) => isFall(change, own[index - 1]));
    return falls ? [`an attempt of build ${build.id} came back`] : [];
  });
}

/** A lease that no builder was told of is as if it had never been: then its attempt comes again. */
function isFall(now: BuildChange, before: BuildChange | undefined): boolean {
  if (before === undefined || now.attempt >= before.attempt) return false;
  const isUntold = before.status === "RUNNING" && now.status === "QUEUED";
  return !isUntold || now.attempt !== before.attempt - 1;
}

function repeatedLeases({ leases }: Facts): string[] {
  const given = grouped(leases, ({ id, attempt }) => `attempt ${attempt} of build ${id}`);
  return [...given]
    .filter(([, same]) => same.length > 1)
    .map(([what, same]) => `${what} was given to ${same.map(({ builder }) => builder).join(", ")}`);
}

function unendedDeployments({ createdDeployments, deployments }: Facts): string[] {
  const known = new Set(deployments.map(({ id }) => id));
  const lost = createdDeployments.filter((id) => !known.has(id));
  const open = deployments.filter(({ state }) => !FINAL_DEPLOYMENT.has(state));
  return [
    ...lost.map((id) => `deployment ${id} is lost`),
    ...open.map((each) => `deployment ${each.id} of ${each.application} is ${each.state}`),
  ];
}

function setBacks({ deploymentChanges }: Facts): Findings {
  const violations: string[] = [];
  for (const [id, changes] of grouped(deploymentChanges, (change) => change.id)) {
    for (const [index, { state, limits }] of changes.entries()) {
      const before = changes[index - 1];
      if (before === undefined) continue;
      if (FINAL_DEPLOYMENT.has(before.state) && state !== before.state) {
        violations.push(`deployment ${id} was ${before.state} and became ${state}`);
      }
      const isOver = FINAL_DEPLOYMENT.has(before.state);
      for (const [region, limit] of Object.entries(before.limits)) {
        const now = limits[region] ?? 0;
        if (now < limit || (isOver && now > limit)) {
          const how = now < limit ? "fell" : "rose after its end";
          violations.push(`deployment ${id}: ${region} ${how} from ${limit} to ${now}`);
        }
      }
    }
  }
  return [deploymentChanges.length, violations];
}

function missedEnds({ builds, deployments, watches }: Facts): string[] {
  const ends = new Map<string, string>();
  for (const { id, status } of builds) ends.set(id, status);
  for (const { id, state } of deployments) ends.set(id, state);
  const watched = new Set(watches.map(({ id }) => id));
  const unwatched = [...ends.keys()].filter((id) => !watched.has(id));
  return [
    ...unwatched.map((id) => `nobody watched ${id}`),
    ...watches.flatMap(({ what, id, finals, error }) => {
      if (error !== undefined) return [`a watcher of ${what} ${id} gave up: ${error}`];
      if (finals.length === 1 && finals[0] === ends.get(id)) return [];
      const saw = finals.join(", ") || "no end";
      return [`a watcher of ${what} ${id} saw ${saw}; it is ${ends.get(id) ?? "lost"}`];
    }),
  ];
}
