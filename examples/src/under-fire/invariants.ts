import type { DeploymentFact, Facts, GoalFact, HostFact } from "./facts.js";

/** Something that always holds, and what it was judged by. */
export interface Verdict {
  invariant: string;
  /** How many things were looked at. */
  checked: number;
  /** What does not hold, in words; empty when all is well. */
  violations: string[];
}

const FINAL_BUILD = new Set(["SUCCEEDED", "FAILED"]);
const FINAL_DEPLOYMENT = new Set(["SUCCEEDED", "FAILED", "SUPERSEDED", "ABORTED"]);

/** Judges what is known of a run that is quiet. */
export function checkInvariants(facts: Facts): Verdict[] {
  return [
    verdict("every build ends", facts.submittedBuilds.length, unendedBuilds(facts)),
    verdict("no build has two results", facts.buildChanges.length, twoResults(facts)),
    verdict("every deployment ends", facts.deployments.length, unendedDeployments(facts)),
    verdict("final is final, and limits never fall", ...setBacks(facts)),
    verdict("each end is in the audit log once", ...auditGaps(facts)),
    verdict("no watcher misses an end", facts.watches.length, missedEnds(facts)),
    verdict("the goals agree with Postgres", facts.goals.length, disagreements(facts)),
    verdict("hosts run what a signed goal says", facts.hosts.length, unsignedReleases(facts)),
    verdict("hosts run what the last goal says", ...otherReleases(facts)),
    verdict("no generation falls on a host", facts.looks, [...facts.falls]),
    verdict("nobody is surprised", facts.surprises.length, [...facts.surprises]),
  ];
}

function verdict(invariant: string, checked: number, violations: string[]): Verdict {
  return { invariant, checked, violations };
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
    const falls = own.some(({ attempt }, index) => attempt < (own[index - 1]?.attempt ?? 0));
    return falls ? [`an attempt of build ${build.id} came back`] : [];
  });
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

function setBacks({ deploymentChanges }: Facts): [number, string[]] {
  const violations: string[] = [];
  for (const [id, changes] of grouped(deploymentChanges, (change) => change.id)) {
    for (const [index, { state, limits }] of changes.entries()) {
      const before = changes[index - 1];
      if (before === undefined) continue;
      if (FINAL_DEPLOYMENT.has(before.state) && state !== before.state) {
        violations.push(`deployment ${id} was ${before.state} and became ${state}`);
      }
      for (const [region, limit] of Object.entries(before.limits)) {
        const now = limits[region] ?? 0;
        if (now < limit)
          violations.push(`deployment ${id}: ${region} fell from ${limit} to ${now}`);
      }
    }
  }
  return [deploymentChanges.length, violations];
}

/** The states' names in the audit log, as the second part of an action. */
const END_ACTIONS: Readonly<Record<string, string>> = {
  SUCCEEDED: "deployment.succeed",
  FAILED: "deployment.fail",
  SUPERSEDED: "deployment.supersede",
  ABORTED: "deployment.abort",
};

function auditGaps({ deployments, audit }: Facts): [number, string[]] {
  const ends = new Set(Object.values(END_ACTIONS));
  const entries = grouped(audit, ({ deploymentId }) => deploymentId);
  const violations = deployments.flatMap(({ id, state }) => {
    const actions = (entries.get(id) ?? []).map(({ action }) => action);
    const ended = actions.filter((action) => ends.has(action));
    if (ended.length === 1 && ended[0] === END_ACTIONS[state]) return [];
    return [
      `deployment ${id} is ${state}, and the audit log says ${actions.join(", ") || "nothing"}`,
    ];
  });
  return [audit.length, violations];
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

function disagreements({ deployments, goals }: Facts): string[] {
  return newest(deployments).flatMap((deployment) => {
    const { id, application, generation, limits, runDigest } = deployment;
    return Object.keys(limits).flatMap((region) =>
      (["global", "regional"] as const).flatMap((bucket) => {
        const where = `the ${bucket} goal of ${application} in ${region}`;
        const goal = goals.find(
          (each) =>
            each.bucket === bucket && each.region === region && each.application === application,
        );
        if (goal === undefined) return [`${where} is missing`];
        const faults = [
          goal.isSigned ? "" : "is not signed",
          goal.deploymentId === id && goal.generation === generation
            ? ""
            : `is of generation ${goal.generation} (${goal.deploymentId}), not ${generation} (${id})`,
          goal.limit === limits[region] ? "" : `has limit ${goal.limit}, not ${limits[region]}`,
          goal.runDigest === runDigest ? "" : "runs another artifact",
        ];
        return faults.filter((fault) => fault !== "").map((fault) => `${where} ${fault}`);
      }),
    );
  });
}

function unsignedReleases({ hosts, goals }: Facts): string[] {
  return hosts.flatMap((fact) => {
    const goal = regionalGoal(goals, fact);
    const allowed = goal?.isSigned === true ? [goal.runDigest, goal.previousDigest] : [];
    const faults: string[] = [];
    if (fact.damage !== undefined) faults.push(fact.damage);
    else if (fact.digest !== undefined && !allowed.includes(fact.digest)) {
      faults.push(`has ${fact.digest} in use; its goal says ${allowed.join(" or ") || "nothing"}`);
    }
    if (fact.strays > 0) faults.push(`has ${fact.strays} processes of releases not in use`);
    if (fact.digest === undefined && fact.processes > 0) faults.push("runs what is not in use");
    return faults.map((fault) => `${fact.host}, ${fact.application}: ${fault}`);
  });
}

function otherReleases({ deployments, hosts }: Facts): [number, string[]] {
  let checked = 0;
  const violations: string[] = [];
  for (const deployment of newest(deployments)) {
    // After another end, hosts may rightly run either of two releases.
    if (deployment.state !== "SUCCEEDED") continue;
    for (const fact of hosts) {
      if (fact.application !== deployment.application) continue;
      checked++;
      const { runDigest } = deployment;
      const where = `${fact.host}, ${fact.application}:`;
      if (fact.digest !== runDigest) violations.push(`${where} ${fact.digest}, not ${runDigest}`);
      else if (fact.processes === 0) violations.push(`${where} its release does not run`);
    }
  }
  return [checked, violations];
}

function grouped<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}

/** The newest deployment of each application. */
function newest(deployments: readonly DeploymentFact[]): DeploymentFact[] {
  const found = new Map<string, DeploymentFact>();
  for (const each of deployments) {
    const known = found.get(each.application);
    if (known === undefined || known.generation < each.generation)
      found.set(each.application, each);
  }
  return [...found.values()];
}

function regionalGoal(goals: readonly GoalFact[], fact: HostFact): GoalFact | undefined {
  return goals.find(
    ({ bucket, region, application }) =>
      bucket === "regional" && region === fact.region && application === fact.application,
  );
}
