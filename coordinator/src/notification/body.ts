import { DeploymentNotification, type Duration, type Strategy } from "@slipway/proto";

/** More than any receiver should have to take. */
const MAX_BYTES = 256 * 1024;

/**
 * The body of a notification: JSON in proto3's mapping. Should it get larger than 256 KiB, for its
 * many steps and regions, it has no steps.
 */
export function notificationBody(notification: DeploymentNotification): string {
  const whole = toJson(notification);
  if (Buffer.byteLength(whole) <= MAX_BYTES || notification.deployment === undefined) return whole;
  return toJson({ ...notification, deployment: { ...notification.deployment, steps: [] } });
}

function toJson(notification: DeploymentNotification): string {
  const json = DeploymentNotification.toJSON(notification) as {
    deployment?: { strategy?: unknown };
  };
  const strategy = notification.deployment?.strategy;
  if (json.deployment?.strategy !== undefined && strategy !== undefined) {
    json.deployment.strategy = strategyJson(json.deployment.strategy as object, strategy);
  }
  return JSON.stringify(json);
}

/** Durations are text in proto3's mapping; the generated code writes their fields. */
function strategyJson(json: { waves?: unknown }, strategy: Strategy): object {
  const waves = (json.waves ?? []) as object[];
  return {
    ...json,
    waves: waves.map((wave, index) => ({
      ...wave,
      bakeTime: durationJson(strategy.waves[index]?.bakeTime),
    })),
    stageTimeout: durationJson(strategy.stageTimeout),
    activateTimeout: durationJson(strategy.activateTimeout),
    timeout: durationJson(strategy.timeout),
  };
}

function durationJson(duration: Duration | undefined): string | undefined {
  if (duration === undefined) return undefined;
  const { seconds, nanos } = duration;
  const fraction = nanos === 0 ? "" : `.${String(nanos).padStart(9, "0").replace(/0+$/, "")}`;
  return `${seconds}${fraction}s`;
}
