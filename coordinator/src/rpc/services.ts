import type { ServiceDefinition } from "@grpc/grpc-js";
import { applicationService } from "./application/service.js";
import { auditService } from "./audit/service.js";
import { buildService } from "./build/service.js";
import { builderService } from "./builder/service.js";
import { deploymentService } from "./deployment/service.js";
import { fleetService } from "./fleet/service.js";
import { freezeService } from "./freeze/service.js";
import { membershipService } from "./membership/service.js";
import { ruleOf, type Handlers, type ServiceEntry } from "./handler.js";
import { tokenService } from "./token/service.js";
import { replicationService } from "./replication/service.js";

/** Every service that a coordinator offers. */
export function createServices(handlers: Handlers): readonly ServiceEntry[] {
  return [
    applicationService(handlers),
    buildService(handlers),
    builderService(handlers),
    deploymentService(handlers),
    replicationService(handlers),
    fleetService(handlers),
    freezeService(handlers),
    auditService(handlers),
    tokenService(handlers),
    membershipService(handlers),
  ];
}

/** @throws Error for a method that nothing says who may call: it would be open to everybody. */
export function requireRules(services: readonly ServiceEntry[]): void {
  for (const { definition, implementation } of services) {
    for (const [name, { path }] of Object.entries(definition)) {
      const handler = implementation[name];
      if (handler === undefined || ruleOf(handler) === undefined) {
        throw new Error(`${path} does not say who may call it`);
      }
    }
  }
}

/** The same service, whose responses may also be bytes that were encoded before. */
export function acceptEncoded(definition: ServiceDefinition): ServiceDefinition {
  const methods = Object.entries(definition).map(([name, method]) => {
    const responseSerialize = (value: unknown): Buffer =>
      value instanceof Buffer ? value : method.responseSerialize(value);
    return [name, { ...method, responseSerialize }] as const;
  });
  return Object.fromEntries(methods);
}
