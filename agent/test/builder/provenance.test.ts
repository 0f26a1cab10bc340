import { generateKeyPairSync } from "node:crypto";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { credentials, Metadata } from "@grpc/grpc-js";
import { issueToken, startCoordinator, type IssueTerms } from "@slipway/coordinator";
import { startNats, startPostgres } from "@slipway/examples/servers";
import {
  ApplicationServiceClient,
  ApplicationSpec,
  type Build,
  BuildServiceClient,
  BuildStatus,
  ProvenanceRefusedError,
  Role,
  shortKeyId,
  publicKeyOf,
  unary,
  verifyProvenance,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { startBuilderAgent } from "../../src/builder/agent.js";
import type { BuilderCommandConfig } from "../../src/config.js";
import type { RunningAgent } from "../../src/running-agent.js";
import { createIdentity } from "../../src/swarm/identity.js";
import { readMemberIdentity, writeIdentity } from "../../src/swarm/identity-file.js";
import { eventually, log, temporaryFolder } from "../host/fixtures.js";
import { createRepository, GIT_ENVIRONMENT, type Repository } from "./repository.js";

// A coordinator and builders as they are: from the join token to a signature that others can check.
const test = suite("what builders sign");
const ends: (() => Promise<unknown> | void)[] = [];
const membership = generateKeyPairSync("ed25519");
const CALL = { timeoutMs: 10_000 };
let folder: string;
let address: string;
let repository: Repository;
let builds: BuildServiceClient;
const admin = new Metadata();
const file = (name: string): string => path.join(folder, name);

test.before(async () => {
  const made = await temporaryFolder();
  ({ folder } = made);
  ends.push(made.remove);
  // Run by root, Postgres and builds have other users, who pass through.
  await chmod(folder, 0o711);
  const goal = generateKeyPairSync("ed25519").privateKey;
  await writeFile(file("goal"), goal.export({ type: "pkcs8", format: "pem" }));
  const pem = membership.privateKey.export({ type: "pkcs8", format: "pem" });
  await writeFile(file("membership"), pem);
  await mkdir(file("blobs"));
  repository = await createRepository(file("repository"));
  const postgres = await startPostgres({ dir: file("postgres") });
  ends.push(() => postgres.stop());
  const nats = await startNats({ dir: file("nats") });
  ends.push(() => nats.stop());
  const databaseUrl = await postgres.createDatabase("main");
  const expireTime = new Date(Date.now() + 3_600_000);
  const token = async (name: string, terms: Omit<IssueTerms, "name" | "expireTime">) =>
    (await issueToken(databaseUrl, { name, expireTime, ...terms }, "a test")).text;
  await writeFile(file("join"), await token("join", { role: "enrol", memberRole: Role.BUILDER }));
  await writeFile(file("builder"), await token("builders", { role: "builder" }));
  admin.set("authorization", `Bearer ${await token("ada", { role: "admin" })}`);
  const coordinator = await startCoordinator(
    {
      listen: { host: "127.0.0.1", port: 0 },
      databaseUrl,
      replicationDatabaseUrl: await postgres.createDatabase("replication"),
      natsUrls: [nats.url],
      goalKeyFile: file("goal"),
      membershipKeyFile: file("membership"),
    },
    { log },
  );
  ends.push(() => coordinator.stop());
  ({ address } = coordinator);
  const insecure = credentials.createInsecure();
  builds = new BuildServiceClient(address, insecure);
  const applications = new ApplicationServiceClient(address, insecure);
  ends.push(
    () => builds.close(),
    () => applications.close(),
  );
  const spec = ApplicationSpec.fromPartial({
    source: { repository: repository.directory },
    build: { command: ["./build.sh"], artifactPath: "out", maxAttempts: 1 },
    run: { command: ["./out"] },
    regions: ["eu"],
  });
  const request = { name: "app", spec, expectedRevision: 0, actor: "", reason: "" };
  await unary(applications, "applyApplication", request, { ...CALL, metadata: admin });
});
test.after(async () => {
  for (const end of ends.toReversed()) await end();
});

async function start(
  id: string,
  options: Partial<BuilderCommandConfig> = {},
): Promise<RunningAgent> {
  const config: BuilderCommandConfig = {
    id,
    logLevel: "error",
    coordinator: address,
    coordinatorTokenFile: file("builder"),
    dataDir: file(`data-${id}`),
    blobStore: file("blobs"),
    slots: 1,
    confinement: { user: undefined, asRoot: true, limits: {} },
    identityFile: file(`${id}.json`),
    ...options,
  };
  const { signal } = new AbortController();
  const surroundings = { log, metrics: undefined, signal, environment: GIT_ENVIRONMENT };
  const agent = await startBuilderAgent(config, surroundings);
  ends.push(() => agent.stop());
  return agent;
}

let count = 0;
/** Has a new commit built by whoever is there, to its end. @param first what it does first. */
async function build(first = ":"): Promise<Build> {
  count += 1;
  const script = `#!/bin/sh\n${first}\necho ${count} > out\n`;
  const commitSha = await repository.commit({ "build.sh": script });
  const request = { application: "app", commitSha, idempotencyKey: "", submitter: "" };
  const options = { ...CALL, metadata: admin };
  const { build: submitted } = await unary(builds, "submitBuild", request, options);
  const id = submitted?.id ?? "";
  return eventually(
    "the build's end",
    async () => {
      const { build: now } = await unary(builds, "getBuild", { id }, options);
      return now?.finishTime === undefined ? undefined : now;
    },
    30_000,
  );
}

test("a builder that has joined signs what it builds, and anybody can check it", async () => {
  const builder = await start("b1", { joinTokenFile: file("join") });
  const built = await build();
  assert.is(built.status, BuildStatus.SUCCEEDED, built.failure?.message);
  const identity = await readMemberIdentity(file("b1.json"));
  const { keyId, verified, builderId } = built.provenance ?? {};
  const ownKey = shortKeyId(publicKeyOf(identity.publicKey));
  assert.equal([keyId, verified, builderId], [ownKey, true, "b1"]);
  const options = { ...CALL, metadata: admin };
  const { provenance } = await unary(builds, "getBuildProvenance", { id: built.id }, options);
  const { artifact, finishTime } = built;
  assert.ok(provenance && artifact && finishTime);
  const facts = {
    buildId: built.id,
    attempt: 1,
    builderId: "b1",
    application: "app",
    applicationRevision: 1,
    repository: repository.directory,
    commitSha: built.commitSha,
    command: ["./build.sh"],
    artifact,
  };
  const check = { facts, membershipKeys: [membership.publicKey], time: finishTime };
  const { startedOn, finishedOn } = verifyProvenance(provenance, check);
  assert.ok(startedOn <= finishedOn && finishedOn <= new Date());
  const other = { ...facts, commitSha: "d".repeat(40) };
  assert.throws(
    () => verifyProvenance(provenance, { ...check, facts: other }),
    (error: unknown) => error instanceof ProvenanceRefusedError && error.fault === "mismatch",
  );
  await builder.stop();
});

test("one without an identity builds unsigned, and so does one whose certificate has ended", async () => {
  const plain = await start("b2", { identityFile: undefined });
  const unsigned = await build();
  assert.equal(
    [unsigned.status, unsigned.builderId, unsigned.provenance],
    [BuildStatus.SUCCEEDED, "b2", undefined],
  );
  await plain.stop();
  const ended = createIdentity({
    id: "b3",
    region: "",
    role: "builder",
    membershipKey: membership.privateKey,
    expireTime: new Date(Date.now() - 1_000),
  });
  await writeIdentity(file("b3.json"), ended);
  const late = await start("b3");
  const { status, builderId, provenance } = await build();
  assert.equal([status, builderId, provenance], [BuildStatus.SUCCEEDED, "b3", undefined]);
  await late.stop();
});

/** Has this process believe, while it works, that it is so much later. */
async function whileOffBy<T>(ms: number, work: () => Promise<T>): Promise<T> {
  const Real = Date;
  class OffDate extends Real {
    constructor(...given: [] | [number | string | Date]) {
      super(given.length === 0 ? Real.now() + ms : given[0]);
    }
    static override now = (): number => Real.now() + ms;
  }
  globalThis.Date = OffDate as DateConstructor;
  try {
    return await work();
  } finally {
    globalThis.Date = Real;
  }
}

test("a clock that is set back while it builds costs no attempt", async () => {
  const builder = await start("b1");
  const [began, goOn] = [file("began"), file("go-on")];
  const building = build(`touch ${began}\nuntil [ -e ${goOn} ]; do sleep 0.05; done`);
  await eventually("the build to have begun", () => readFile(began).catch(() => undefined));
  const built = await whileOffBy(-3_600_000, async () => {
    await writeFile(goOn, "");
    return building;
  });
  assert.is(built.status, BuildStatus.SUCCEEDED, built.failure?.message);
  assert.is(built.provenance?.verified, true);
  await builder.stop();
});

test("a signature that is not the fleet's is refused, and the builder goes on", async () => {
  const stranger = createIdentity({
    id: "b4",
    region: "",
    role: "builder",
    membershipKey: generateKeyPairSync("ed25519").privateKey,
    expireTime: new Date(Date.now() + 3_600_000),
  });
  await writeIdentity(file("b4.json"), stranger);
  const builder = await start("b4");
  for (const _ of [1, 2]) {
    const { status, failure, artifact } = await build();
    assert.equal([status, artifact], [BuildStatus.FAILED, undefined]);
    assert.match(
      failure?.message ?? "",
      /builder b4 was refused: .* not signed by the membership key/,
    );
  }
  await builder.stop();
});

test.run();
