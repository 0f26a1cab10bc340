/** How many of a region's hosts have switched once a step is done. */
export interface Reach {
  /** On average. */
  expected: number;
  /** Nine of ten deployments are between these. */
  least: number;
  most: number;
}

/** Beyond so many hosts the normal distribution is close enough, and costs nothing. */
const EXACT_HOSTS = 1_000;
const OUTSIDE = 0.05;
/** Of the normal distribution, with so much of it on either side. */
const DEVIATIONS = 1.645;

/**
 * Each host's bucket is a hash of its id and the deployment's, which is not known before: every host is
 * below the percentage with that probability, by itself. If none is, one goes ahead all the same. Pure.
 */
export function reachOf(hostCount: number, percent: number): Reach {
  if (hostCount === 0 || percent >= 100) {
    return { expected: hostCount, least: hostCount, most: hostCount };
  }
  const share = percent / 100;
  const [least, most] =
    hostCount <= EXACT_HOSTS ? exactly(hostCount, share) : roughly(hostCount, share);
  const expected = Math.round(hostCount * share);
  return { expected: Math.max(1, expected), least: Math.max(1, least), most: Math.max(1, most) };
}

/** Quantiles of the binomial distribution. */
function exactly(hostCount: number, share: number): [least: number, most: number] {
  // Of those that are left out there are fewer then, and the first probability is above 0.
  if (share > 0.5) {
    const [least, most] = exactly(hostCount, 1 - share);
    return [hostCount - most, hostCount - least];
  }
  let probability = (1 - share) ** hostCount;
  let below = 0;
  let least: number | undefined;
  for (let count = 0; count < hostCount; count += 1) {
    below += probability;
    if (below > OUTSIDE) least ??= count;
    if (below >= 1 - OUTSIDE) return [least ?? count, count];
    probability *= ((hostCount - count) / (count + 1)) * (share / (1 - share));
  }
  return [least ?? hostCount, hostCount];
}

function roughly(hostCount: number, share: number): [least: number, most: number] {
  const mean = hostCount * share;
  const away = DEVIATIONS * Math.sqrt(mean * (1 - share));
  return [Math.max(0, Math.floor(mean - away)), Math.min(hostCount, Math.ceil(mean + away))];
}
