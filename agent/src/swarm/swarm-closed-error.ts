/** The swarm was closed before, or meanwhile. */
export class SwarmClosedError extends Error {
  override readonly name = "SwarmClosedError";
}
