import {
  durationToMs,
  OnFailure,
  Promotion,
  type DeploymentStep,
  type Strategy,
} from "@slipway/proto";
import type { Pace } from "./snapshot.js";

/** A strategy's waves and percentages, one after the other. */
export interface StepPlan {
  steps: DeploymentStep[];
  pace: Pace;
}

const ALL_REGIONS = "*";
const PERCENTS: readonly number[] = [100];

/** Flattens a strategy that was checked and has its defaults filled in. */
export function planSteps(strategy: Strategy, regions: readonly string[]): StepPlan {
  const steps: DeploymentStep[] = [];
  const bakeTimesMs: number[] = [];
  for (const [index, wave] of strategy.waves.entries()) {
    const own = wave.regions.includes(ALL_REGIONS) ? regions : wave.regions;
    const percents = wave.percents.length === 0 ? PERCENTS : wave.percents;
    for (const [part, percent] of percents.entries()) {
      const requiresApproval = wave.requiresApproval && part === 0;
      const manual = strategy.promotion === Promotion.MANUAL && steps.length > 0;
      steps.push({
        wave: index + 1,
        regions: [...own],
        percent,
        requiresPromotion: requiresApproval || manual,
        requiresApproval,
      });
      bakeTimesMs.push(durationToMs(wave.bakeTime, 30_000));
    }
  }
  return { steps, pace: paceOf(strategy, bakeTimesMs) };
}

function paceOf(strategy: Strategy, bakeTimesMs: readonly number[]): Pace {
  return {
    maxSwitchingPercent: strategy.maxSwitchingPercent || 25,
    failedPercent: strategy.failureBudget?.failedPercent ?? 2,
    silentPercent: strategy.failureBudget?.silentPercent ?? 5,
    stageTimeoutMs: durationToMs(strategy.stageTimeout, 30 * 60_000),
    activateTimeoutMs: durationToMs(strategy.activateTimeout, 10 * 60_000),
    timeoutMs: durationToMs(strategy.timeout, 6 * 3_600_000),
    rollBackOnFailure: strategy.onFailure !== OnFailure.STOP,
    bakeTimesMs,
  };
}

/**
 * The strategy of a roll-back: everybody at once, since hosts have the bytes and run what is bad. It
 * keeps the budget and the time limits of the one given.
 */
export function rollBackStrategy(strategy: Strategy): Strategy {
  const bakeTime = { seconds: 0, nanos: 0 };
  const percents = [...PERCENTS];
  return {
    ...strategy,
    waves: [{ regions: [ALL_REGIONS], percents, bakeTime, requiresApproval: false }],
    maxSwitchingPercent: 100,
    promotion: Promotion.AUTOMATIC,
    onFailure: OnFailure.STOP,
  };
}
