export { hostBucket, selectorTakes } from "./host/choose.js";
export { createIdentity, type CreateIdentityOptions, type Identity } from "./swarm/identity.js";
export { writeIdentity } from "./swarm/identity-file.js";
export { startBuilder, type BuilderConfig } from "./builder/index.js";
export { startHost } from "./host/host.js";
export { startRegion } from "./region/region.js";
export type { HostConfig, RegionConfig } from "./config.js";
export type { RunningAgent } from "./running-agent.js";
