import {
  durationFromMs,
  durationToMs,
  OnFailure,
  Promotion,
  type Duration,
  type FailureBudget,
  type RunSpec,
  type Strategy,
  type Wave,
} from "@slipway/proto";
import { Violations } from "../validate.js";
import { checkDuration, HOUR, MINUTE, SECOND } from "./checks.js";

/** What a strategy is for. */
export interface StrategyScope {
  /** The application's. */
  regions: readonly string[];
  run: RunSpec | undefined;
}

const ALL_REGIONS = "*";
const MAX_WAVES = 50;
const MAX_STEPS = 100;
const MAX_REGIONS = 64;
const BAKE_MS = 30 * SECOND;
const STAGE_MS = 30 * MINUTE;
const ACTIVATE_MS = 10 * MINUTE;
const TOTAL_MS = 6 * HOUR;
const DAY = 24 * HOUR;

/** The strategy of an application that names none. */
export function defaultStrategy(regions: readonly string[], run?: RunSpec): Strategy {
  return checkStrategy(undefined, { regions, run }, "strategy", new Violations());
}

/**
 * Checks a strategy and fills in its defaults, so that no reader has to know them. What is wrong
 * goes to `found`, by path from the request; the result counts only if nothing is.
 */
export function checkStrategy(
  strategy: Strategy | undefined,
  scope: StrategyScope,
  field: string,
  found: Violations,
): Strategy {
  const waves = checkWaves(strategy?.waves ?? [], scope.regions, `${field}.waves`, found);
  const switching = strategy?.maxSwitchingPercent ?? 0;
  found.check(switching <= 100, `${field}.max_switching_percent`, "must be at most 100");
  return {
    waves,
    maxSwitchingPercent: switching === 0 ? 25 : switching,
    failureBudget: checkBudget(strategy?.failureBudget, `${field}.failure_budget`, found),
    stageTimeout: checkDuration(strategy?.stageTimeout, `${field}.stage_timeout`, found, {
      byDefault: STAGE_MS,
      least: SECOND,
      most: 7 * DAY,
    }),
    ...checkTimeouts(strategy, waves, scope.run, field, found),
    promotion: checkPromotion(strategy?.promotion, `${field}.promotion`, found),
    onFailure: checkOnFailure(strategy?.onFailure, `${field}.on_failure`, found),
  };
}

/** 10 percent of the first region, then everybody. */
function defaultWaves(regions: readonly string[]): Wave[] {
  const bakeTime = durationFromMs(BAKE_MS);
  const [first = ALL_REGIONS] = regions;
  return [
    { regions: [first], percents: [10], bakeTime, requiresApproval: false },
    { regions: [ALL_REGIONS], percents: [100], bakeTime, requiresApproval: false },
  ];
}

function checkWaves(
  waves: readonly Wave[],
  regions: readonly string[],
  field: string,
  found: Violations,
): Wave[] {
  if (waves.length === 0) return defaultWaves(regions);
  if (!found.check(waves.length <= MAX_WAVES, field, `must be at most ${MAX_WAVES}`)) return [];
  const steps = waves.reduce((all, { percents }) => all + Math.max(1, percents.length), 0);
  const few = `must have at most ${MAX_STEPS} percentages in all`;
  if (!found.check(steps <= MAX_STEPS, field, few)) return [];
  const reached = new Map(regions.map((region) => [region, 0]));
  const checked = waves.map((wave, index) => checkWave(wave, reached, `${field}[${index}]`, found));
  for (const [region, percent] of reached) {
    found.check(percent >= 100, field, `never bring region ${region} to 100 percent`);
  }
  return checked;
}

/** @param reached each region's percentage after the waves before; brought up to date. */
function checkWave(
  wave: Wave,
  reached: Map<string, number>,
  field: string,
  found: Violations,
): Wave {
  const own = checkWaveRegions(wave.regions, reached, `${field}.regions`, found);
  const percents = wave.percents.length === 0 ? [100] : [...wave.percents];
  for (const [index, percent] of percents.entries()) {
    const at = `${field}.percents[${index}]`;
    found.check(percent >= 1 && percent <= 100, at, "must be between 1 and 100");
    if (index > 0) {
      found.check(percent > (percents[index - 1] ?? 0), at, "must be above the one before");
    }
  }
  const [first = 100] = percents;
  const last = percents.at(-1) ?? 100;
  const before = own.map((region) => reached.get(region) ?? 0);
  if (wave.regions.includes(ALL_REGIONS)) {
    // Some may be there already: all means the rest, too.
    const description = "must be above what at least one region has reached in the waves before";
    const raises = own.length === 0 || first > Math.min(...before);
    found.check(raises, `${field}.percents[0]`, description);
  } else {
    for (const [index, region] of own.entries()) {
      const percent = before[index] ?? 0;
      const description = `must be above the ${percent} percent that ${region} has reached before`;
      found.check(first > percent, `${field}.percents[0]`, description);
    }
  }
  for (const [index, region] of own.entries()) {
    reached.set(region, Math.max(before[index] ?? 0, last));
  }
  return {
    regions: [...wave.regions],
    percents,
    bakeTime: checkDuration(wave.bakeTime, `${field}.bake_time`, found, {
      byDefault: BAKE_MS,
      least: 0,
      most: DAY,
    }),
    requiresApproval: wave.requiresApproval,
  };
}

/** The known regions that a wave names, each once. */
function checkWaveRegions(
  named: readonly string[],
  known: ReadonlyMap<string, number>,
  field: string,
  found: Violations,
): string[] {
  if (!found.check(named.length > 0, field, "must name at least one region")) return [];
  if (named.length === 1 && named[0] === ALL_REGIONS) return [...known.keys()];
  found.check(named.length <= MAX_REGIONS, field, `must name at most ${MAX_REGIONS} regions`);
  const own = new Set<string>();
  for (const [index, region] of named.slice(0, MAX_REGIONS).entries()) {
    const at = `${field}[${index}]`;
    if (region === ALL_REGIONS) {
      found.add(at, 'must be alone: "*" stands for all of the regions');
    } else if (!known.has(region)) {
      found.add(at, "must be one of the application's regions");
    } else {
      found.check(!own.has(region), at, "is there twice");
      own.add(region);
    }
  }
  return [...own];
}

function checkBudget(
  budget: FailureBudget | undefined,
  field: string,
  found: Violations,
): FailureBudget {
  const { failedPercent = 2, silentPercent = 5 } = budget ?? {};
  found.check(failedPercent <= 100, `${field}.failed_percent`, "must be at most 100");
  found.check(silentPercent <= 100, `${field}.silent_percent`, "must be at most 100");
  return { failedPercent, silentPercent };
}

/** Those that contradict what they have to leave room for are refused; defaults leave it. */
function checkTimeouts(
  strategy: Strategy | undefined,
  waves: readonly Wave[],
  run: RunSpec | undefined,
  field: string,
  found: Violations,
): { activateTimeout: Duration; timeout: Duration } {
  const switchMs = durationToMs(run?.healthCheck?.deadline, 0) + durationToMs(run?.drainTime, 0);
  const activateTimeout = checkDuration(
    strategy?.activateTimeout,
    `${field}.activate_timeout`,
    found,
    { byDefault: Math.max(ACTIVATE_MS, 2 * switchMs), least: SECOND, most: DAY },
  );
  const activateMs = durationToMs(activateTimeout, 0);
  found.check(
    activateMs > switchMs,
    `${field}.activate_timeout`,
    `must be above ${switchMs / SECOND} seconds: the health check's deadline and the drain time`,
  );
  const leastMs = waves.reduce(
    (all, { bakeTime, percents }) => all + durationToMs(bakeTime, BAKE_MS) * percents.length,
    activateMs,
  );
  const timeout = checkDuration(strategy?.timeout, `${field}.timeout`, found, {
    byDefault: Math.max(TOTAL_MS, 2 * leastMs),
    least: SECOND,
    most: 365 * DAY,
  });
  found.check(
    durationToMs(timeout, 0) > leastMs,
    `${field}.timeout`,
    `must be above ${leastMs / SECOND} seconds: all bake times and one activation`,
  );
  return { activateTimeout, timeout };
}

function checkPromotion(promotion: Promotion | undefined, field: string, found: Violations) {
  if (promotion === undefined || promotion === Promotion.UNSPECIFIED) return Promotion.AUTOMATIC;
  const known = promotion === Promotion.AUTOMATIC || promotion === Promotion.MANUAL;
  found.check(known, field, "is not one that this coordinator knows");
  return promotion;
}

function checkOnFailure(onFailure: OnFailure | undefined, field: string, found: Violations) {
  if (onFailure === undefined || onFailure === OnFailure.UNSPECIFIED) return OnFailure.ROLL_BACK;
  const known = onFailure === OnFailure.ROLL_BACK || onFailure === OnFailure.STOP;
  found.check(known, field, "is not one that this coordinator knows");
  return onFailure;
}
