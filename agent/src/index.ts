export {
  createIdentity,
  type CreateIdentityOptions,
  type Identity,
  writeIdentity,
} from "./swarm/identity.js";
