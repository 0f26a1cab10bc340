import type { AuditFact, DeploymentChange, DeploymentFact, Facts } from "./facts.js";
import { FINAL_DEPLOYMENT } from "./newest.js";
import { type Findings, grouped } from "./verdict.js";

/** The final states' names in the audit log. */
const END_ACTIONS: Readonly<Record<string, string>> = {
  SUCCEEDED: "deployment.succeed",
  FAILED: "deployment.fail",
  SUPERSEDED: "deployment.supersede",
  ABORTED: "deployment.abort",
};
/** Not told by what Postgres keeps of a deployment: that its first host was told to switch. */
const UNTOLD = "deployment.start";
const AREAS = new Set(["application", "freeze", "host"]);

/** Changes that the audit log does not have exactly once, and entries of no change. */
export function auditGaps(facts: Facts): Findings {
  const { deployments, audit, operations, builds } = facts;
  const byDeployment = grouped(
    audit.filter(({ deploymentId }) => deploymentId !== undefined),
    ({ deploymentId }) => deploymentId!,
  );
  const changes = grouped(facts.deploymentChanges, ({ id }) => id);
  const deployed = deployments.flatMap((deployment) => {
    const { id, state } = deployment;
    const said = (byDeployment.get(id) ?? []).map(({ action }) => action);
    const wanted = actionsOf(deployment, changes.get(id) ?? []);
    return differences(
      wanted,
      said.filter((action) => action !== UNTOLD),
    ).map((difference) => `deployment ${id}, ${state}: ${difference}`);
  });
  const others = audit.filter(({ action }) => AREAS.has(action.split(".")[0] ?? ""));
  const operated = differences(operations.map(wordsOf), others.map(wordsOf));
  const submits = audit.filter(({ action }) => action === "build.submit");
  const submitted = new Set(submits.map(({ subject }) => subject));
  const unsaid = builds.filter(({ id }) => !submitted.has(id));
  return [
    audit.length,
    [...deployed, ...operated, ...unsaid.map(({ id }) => `build ${id}: nobody submitted it`)],
  ];
}

const wordsOf = ({ action, subject }: Pick<AuditFact, "action" | "subject">): string =>
  `${action} ${subject}`;

/** What should be said of a deployment, by all states that Postgres took of it. */
function actionsOf({ isRollback }: DeploymentFact, changes: readonly DeploymentChange[]): string[] {
  const actions = [isRollback ? "deployment.roll_back" : "deployment.create"];
  for (const [index, now] of changes.entries()) {
    const before = changes[index - 1];
    if (before === undefined) continue;
    const ends = FINAL_DEPLOYMENT.has(now.state);
    if (ends && now.state !== before.state) actions.push(END_ACTIONS[now.state]!);
    if (now.pauseReason !== undefined && now.pauseReason !== before.pauseReason)
      actions.push("deployment.pause");
    if (before.pauseReason !== undefined && now.pauseReason === undefined && !ends)
      actions.push("deployment.resume");
    if (now.promotedStep > before.promotedStep) actions.push("deployment.promote");
    if (now.step > before.step) actions.push("deployment.step");
  }
  return actions;
}

/** Of two lists in any order, each thing that one has more often, in words. */
function differences(wanted: readonly string[], said: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const each of wanted) counts.set(each, (counts.get(each) ?? 0) + 1);
  for (const each of said) counts.set(each, (counts.get(each) ?? 0) - 1);
  return [...counts].flatMap(([each, count]) => {
    if (count === 0) return [];
    const times = Math.abs(count);
    return [`${each} is ${times} times too ${count > 0 ? "few" : "many"} in the audit log`];
  });
}
