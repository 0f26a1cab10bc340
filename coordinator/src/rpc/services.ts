import type { ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import type { Handlers } from "./handler.js";

/** A service as grpc-js takes it. */
export interface ServiceEntry {
  definition: ServiceDefinition;
  implementation: UntypedServiceImplementation;
}

/** Every service that a coordinator offers. */
export function createServices(handlers: Handlers): readonly ServiceEntry[] {
  void handlers;
  return [];
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
