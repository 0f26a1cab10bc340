/** Real servers for tests and for the fleet on one machine. */
export { startPostgres, type PostgresOptions, type PostgresServer } from "./postgres.js";
export { startNats, type NatsOptions, type NatsServer } from "./nats.js";
export { freePort } from "./free-port.js";
export { startChild, type Child, type ChildOptions, type Exit } from "../processes/child.js";
