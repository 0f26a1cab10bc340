import type { ServerDuplexStream, ServiceDefinition, Server } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { PROTO_DIRECTORY, SERVICE_FILES } from "@slipway/proto";
import { HealthImplementation, protoPath as healthProtoPath } from "grpc-health-check";
import type { Logger } from "pino";
import type { Admission } from "../auth/admission.js";
import { ANY_TOKEN } from "../auth/rules.js";
import { toCallError } from "./status.js";

type ReflectionCall = ServerDuplexStream<unknown, unknown>;
type ReflectionMethod = (call: ReflectionCall) => void;

/** Adds reflection, for whoever has a token, and health, for everybody. Answers how to end health. */
export function addStandardServices(
  server: Server,
  admission: Admission,
  log: Logger,
): { notServing(): void } {
  const includeDirs = [PROTO_DIRECTORY];
  const definitions = loadSync([...SERVICE_FILES, healthProtoPath], { includeDirs });
  const guarded = {
    addService(definition: ServiceDefinition, methods: Record<string, ReflectionMethod>) {
      const guards = Object.entries(methods).map(
        ([name, method]) => [name, guard(method, admission, log)] as const,
      );
      server.addService(definition, Object.fromEntries(guards));
    },
  };
  new ReflectionService(definitions).addToServer(guarded);
  const names = ["", ...serviceNames()];
  const serving = names.map((name) => [name, "SERVING"] as const);
  const health = new HealthImplementation(Object.fromEntries(serving));
  health.addToServer(server);
  return {
    notServing() {
      for (const name of names) health.setStatus(name, "NOT_SERVING");
    },
  };
}

function guard(method: ReflectionMethod, admission: Admission, log: Logger): ReflectionMethod {
  return (call) => {
    const end = (error: unknown): void => void call.emit("error", toCallError(error, log));
    const { metadata } = call;
    const asked = { method: call.getPath(), metadata, peer: call.getPeer(), request: undefined };
    void (async () => {
      try {
        const identity = await admission.admit(ANY_TOKEN, asked);
        if (call.destroyed) return;
        call.once("close", admission.follow(identity, end));
        method(call);
      } catch (error) {
        end(error);
      }
    })();
  };
}

function serviceNames(): string[] {
  const definitions = loadSync([...SERVICE_FILES], { includeDirs: [PROTO_DIRECTORY] });
  return Object.keys(definitions).filter((name) => name.endsWith("Service"));
}
