import { createRequire } from "node:module";
import path from "node:path";
import { credentials, loadPackageDefinition, type Client } from "@grpc/grpc-js";
import { loadSync, type PackageDefinition } from "@grpc/proto-loader";
import { protoPath } from "grpc-health-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Coordinator } from "../../src/index.js";
import { startFleet, type TestFleet } from "../fleet.js";

const test = suite("reflection and health");
let fleet: TestFleet;
let coordinator: Coordinator;

test.before(async () => {
  fleet = await startFleet();
  coordinator = await fleet.start();
});
test.after(() => fleet.close());

type Constructor = new (address: string, security: unknown) => Client;

function client(definition: PackageDefinition, service: string): Client {
  const loaded = service
    .split(".")
    .reduce<unknown>(
      (level, name) => (level as Record<string, unknown>)[name],
      loadPackageDefinition(definition),
    );
  return new (loaded as Constructor)(coordinator.address, credentials.createInsecure());
}

test("health says SERVING for the whole and for each service", async () => {
  const health = client(loadSync(protoPath, { enums: String }), "grpc.health.v1.Health");
  type Check = (
    request: { service: string },
    callback: (error: Error | null, answer: { status: string }) => void,
  ) => void;
  for (const service of ["", "slipway.v1.BuildService", "slipway.v1.BuilderService"]) {
    const answer = await new Promise<{ status: string }>((resolve, reject) => {
      const { check } = health as unknown as { check: Check };
      check.call(health, { service }, (error, value) => (error ? reject(error) : resolve(value)));
    });
    assert.is(answer.status, "SERVING");
  }
  health.close();
});

test("reflection lists every service", async () => {
  const require = createRequire(import.meta.url);
  const root = path.join(path.dirname(require.resolve("@grpc/reflection/package.json")), "build");
  const file = path.join(root, "proto/grpc/reflection/v1/reflection.proto");
  const reflection = client(loadSync(file), "grpc.reflection.v1.ServerReflection");
  interface Answer {
    listServicesResponse?: { service: { name: string }[] };
  }
  interface Reflection {
    serverReflectionInfo(): NodeJS.EventEmitter & { write(value: unknown): void; end(): void };
  }
  const stream = (reflection as unknown as Reflection).serverReflectionInfo();
  const answer = await new Promise<Answer>((resolve, reject) => {
    stream.on("error", reject);
    stream.on("data", resolve);
    stream.write({ listServices: "" });
  });
  stream.end();
  reflection.close();
  const names = answer.listServicesResponse?.service.map(({ name }) => name) ?? [];
  for (const name of ["Application", "Build", "Builder", "Deployment", "Replication", "Fleet"]) {
    assert.ok(names.includes(`slipway.v1.${name}Service`), name);
  }
});

test.run();
