import type { Facts } from "./facts.js";
import { type Findings, grouped } from "./verdict.js";

/** Ends that the hook was not told of, and what it was told that it could not trust. */
export function untoldEnds({ deployments, deliveries }: Facts): Findings {
  const taken = deliveries.filter(({ isSigned, isTaken }) => isSigned && isTaken);
  const told = new Set(taken.map(({ deploymentId, state }) => `${deploymentId} ${state}`));
  const untold = deployments.filter(({ id, state }) => !told.has(`${id} ${state}`));
  const unsigned = deliveries.filter(({ isSigned }) => !isSigned);
  const changed = [...grouped(deliveries, ({ id }) => id)].filter(
    ([, same]) => new Set(same.map(({ body }) => body)).size > 1,
  );
  return [
    deliveries.length,
    [
      ...untold.map(({ id, state }) => `the hook was never told that ${id} is ${state}`),
      ...unsigned.map(({ id }) => `the signature of notification ${id} does not fit`),
      ...changed.map(([id]) => `notification ${id} was sent with different bodies`),
    ],
  ];
}
