import { DeploymentState, PauseReason, StepPhase } from "@slipway/proto";
import type { Deployment, DeploymentStep } from "@slipway/proto";
import { isFinalDeployment } from "../../deployment-watch.js";
import { agoText, spanText } from "../quantities.js";
import { plain } from "../text.js";
import type { Colour, Look } from "./style.js";

const PHASES: Readonly<Record<number, string>> = {
  [StepPhase.STAGING]: "staging",
  [StepPhase.SWITCHING]: "switching",
  [StepPhase.BAKING]: "baking",
};

const PAUSES: Readonly<Record<number, string>> = {
  [PauseReason.HOSTS_SILENT]: "too many hosts are silent",
  [PauseReason.REGION_SILENT]: "a region is silent",
};

/** Something that a person should know or do about a deployment. */
export interface Notice {
  text: string;
  colour: Colour;
}

/** "step 2 of 4, wave 1 of 2: 50 % of eu, us". @param number counted from 1. */
export function stepText(steps: readonly DeploymentStep[], number: number): string {
  const step = steps[number - 1];
  if (step === undefined) return "";
  const waves = steps.reduce((most, { wave }) => Math.max(most, wave), 0);
  return (
    `step ${number} of ${steps.length}, wave ${step.wave} of ${waves}: ` +
    `${step.percent} % of ${step.regions.map(plain).join(", ")}`
  );
}

/** The present step, without the time: "step 1 of 2, wave 1 of 2: 10 % of eu, switching". */
export function presentStepText({ steps, step, stepPhase, state }: Deployment): string {
  const text = stepText(steps, step);
  const phase = PHASES[stepPhase];
  const moves = state === DeploymentState.PENDING || state === DeploymentState.RUNNING;
  return text === "" || phase === undefined || !moves ? text : `${text}, ${phase}`;
}

/** How long the present step's phase has lasted: " for 20 s". */
export function phaseTimeText({ state, stepPhaseTime }: Deployment, look: Look): string {
  const moves = state === DeploymentState.PENDING || state === DeploymentState.RUNNING;
  if (!moves || stepPhaseTime === undefined) return "";
  return ` for ${spanText(look.now - stepPhaseTime.getTime())}`;
}

/**
 * Why it does not move, and what to do about that; nothing when all is well.
 * @param columns where a command with the deployment's id is wider, it names the application, which
 *   means the same as long as this goes on.
 */
export function notices(deployment: Deployment, columns = Number.POSITIVE_INFINITY): Notice[] {
  const { id, application, state, pause, blockedBy, steps, step, creator } = deployment;
  const without = deployment.withoutRegions.join(", ");
  const lines: Notice[] = [];
  const say = (text: string, colour: Colour = "yellow"): void => {
    lines.push({ text: plain(text), colour });
  };
  const advise = (text: string, verb: string): void => {
    const exact = `${text}: slipway ${verb} ${id}`;
    say(exact.length <= columns ? exact : `${text}: slipway ${verb} ${application}`, "bold");
  };
  if (state === DeploymentState.PAUSED) {
    const reason = pause?.reason ?? PauseReason.UNSPECIFIED;
    const message = pause?.message ? `: ${pause.message}` : "";
    const known = PAUSES[reason];
    if (known === undefined) {
      say(`paused by ${pause?.actor || "somebody"}${message}`);
      advise("Go on with", "resume");
    } else {
      say(`paused, because ${known}${message}`);
      if (reason === PauseReason.HOSTS_SILENT) {
        say(`See which with: slipway hosts --app ${application} --phase silent`, "bold");
        say("One that is gone for good: slipway hosts decommission HOST --reason WHY", "bold");
      }
      advise("Goes on by itself once they are heard; end it with", "abort");
      advise("Go on without them with", "resume");
    }
  }
  if (state === DeploymentState.WAITING) {
    const approval = steps[step - 1]?.requiresApproval === true;
    const who = approval ? `somebody else than ${creator || "its creator"}` : "somebody";
    say(`waits for ${who} to promote step ${step}`);
    advise("Let it begin with", "promote");
  }
  if (blockedBy !== "") say(`held up: ${blockedBy}`);
  if (without === "") return lines;
  if (state === DeploymentState.SUCCEEDED) {
    say(`succeeded without ${without}: hosts there switch once they are back`);
  } else if (!isFinalDeployment(deployment)) {
    say(`goes on without ${without}, of which nothing was heard when it was resumed`);
  }
  return lines;
}

/** When it was paused, as "2 min ago"; empty if it is not. */
export function pausedText({ state, pause }: Deployment, look: Look): string {
  return state === DeploymentState.PAUSED ? agoText(pause?.pauseTime, look.now) : "";
}
