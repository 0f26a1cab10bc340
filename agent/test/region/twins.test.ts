import { generateKeyPairSync } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import {
  HostQuery,
  HostQueryReply,
  hostQuerySubject,
  HostStatus,
  RegionAgentStatus,
  regionAgentKey,
  STATUS_BUCKET,
} from "@slipway/proto";
import { freePort, startNats } from "@slipway/examples/servers";
import { connect } from "nats";
import { pino } from "pino";
import { Registry } from "prom-client";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { startHost } from "../../src/host/host.js";
import type { Logger } from "../../src/log.js";
import { HostTable } from "../../src/region/host-table.js";
import { startRegion } from "../../src/region/region.js";
import { createIdentity } from "../../src/swarm/identity.js";
import { writeIdentity } from "../../src/swarm/identity-file.js";
import { eventually, temporaryFolder } from "../host/fixtures.js";
import { FakeCoordinator } from "./fake-coordinator.js";

const region = "eu";
const test = suite("two machines with one identity");

/** A log, and what was said in it as an error. */
function hearErrors(): { log: Logger; errors: string[] } {
  const errors: string[] = [];
  return { log: pino({ level: "error" }, { write: (line) => void errors.push(line) }), errors };
}

function says(process: string, startTime: number, time: number): Uint8Array {
  return HostStatus.encode(
    HostStatus.fromPartial({
      hostId: "h1",
      region,
      startTime: new Date(startTime),
      time: new Date(time),
      process: { incarnation: process, machine: `machine-${process}`, pid: 7 },
    }),
  ).finish();
}

/** As an agent says it that knows of no processes. */
function old(startTime: number, time: number): Uint8Array {
  const status = HostStatus.decode(says("", startTime, time));
  return HostStatus.encode({ ...status, process: undefined }).finish();
}

test("a host that is started again is one; two that go on speaking are two until one stops", () => {
  const table = new HostTable(region);
  const machines = (at: number) =>
    [...(table.twins(at).get("h1") ?? [])].map(({ machine }) => machine).sort();
  for (const at of [0, 10_000]) table.hear("h1", says("a", 0, at), at);
  // Started again; a message of the one before is overtaken.
  table.hear("h1", says("b", 11_000, 11_000), 11_000);
  table.hear("h1", says("a", 0, 10_500), 11_200);
  for (const at of [21_000, 31_000]) table.hear("h1", says("b", 11_000, at), at);
  assert.equal(machines(31_000), []);
  assert.equal(table.status("h1", 31_000)?.twins, []);
  for (const at of [32_000, 42_000]) {
    table.hear("h1", says("c", 31_500, at), at);
    table.hear("h1", says("b", 11_000, at), at);
  }
  assert.equal(machines(42_000), ["machine-b", "machine-c"]);
  assert.is(table.status("h1", 42_000)?.twins.length, 2);
  for (const at of [52_000, 62_000, 73_000]) table.hear("h1", says("c", 31_500, at), at);
  assert.equal(machines(73_000), []);
});

test("agents of earlier versions are told apart by when they started", () => {
  const table = new HostTable(region);
  for (const at of [1_000, 11_000]) {
    table.hear("h1", old(1, at), at);
    table.hear("h1", old(2, at), at);
  }
  assert.is(table.twins(11_000).get("h1")?.length, 2);
});

test("hosts, their region's agents, and who asks these are told what the other machine is", async () => {
  const { folder, remove } = await temporaryFolder();
  const cleanUp: (() => Promise<unknown> | void)[] = [remove];
  try {
    const nats = await startNats();
    cleanUp.push(() => nats.stop());
    const connection = await connect({ servers: nats.url });
    cleanUp.push(() => connection.close());
    const statuses = await connection.jetstream().views.kv(STATUS_BUCKET, { history: 1 });
    const coordinator = new FakeCoordinator();
    const coordinatorPort = await freePort();
    await coordinator.start(coordinatorPort);
    cleanUp.push(() => coordinator.stop());
    const file = (name: string) => path.join(folder, name);
    const { privateKey: membershipKey, publicKey } = generateKeyPairSync("ed25519");
    await writeFile(file("key.pub"), publicKey.export({ format: "pem", type: "spki" }));
    await mkdir(file("main"));
    const expireTime = new Date(Date.now() + 3_600_000);
    for (const [id, role] of [
      ["eu-1", "region"],
      ["h1", "host"],
    ] as const) {
      const identity = createIdentity({ id, region, role, membershipKey, expireTime });
      await writeIdentity(file(`${id}.json`), identity);
    }
    const bootstrap = { host: "127.0.0.1", port: await freePort() };
    const common = (id: string, copy: string) => ({
      id,
      region,
      logLevel: "silent" as const,
      regionNats: [nats.url],
      dataDir: file(`${id}-${copy}`),
      identityFile: file(`${id}.json`),
      membershipPublicKeyFile: file("key.pub"),
      goalPublicKeyFiles: [file("key.pub")],
      bootstrap: [bootstrap],
    });
    const agents = [];
    for (const copy of ["a", "b"]) {
      const heard = { ...hearErrors(), metrics: new Registry() };
      const listen = copy === "a" ? bootstrap : { ...bootstrap, port: await freePort() };
      const config = {
        ...common("eu-1", copy),
        coordinator: `127.0.0.1:${coordinatorPort}`,
        nats: [nats.url],
        mainBlobStore: file("main"),
        blobStore: file(`regional-${copy}`),
        blobStoreShared: false,
        listen,
        cells: [],
        recheckMs: 60_000,
      };
      const agent = await startRegion(config, heard.log, heard.metrics);
      cleanUp.push(() => agent.stop());
      agents.push({ ...heard, listen });
    }
    const hosts = [];
    for (const copy of ["a", "b"]) {
      const heard = { ...hearErrors(), metrics: new Registry() };
      const listen = { ...bootstrap, port: await freePort() };
      const config = {
        ...common("h1", copy),
        cell: "default",
        neighbourCells: [],
        labels: {},
        listen,
        environment: {},
        storeMaxBytes: 1e9,
        stopReleasesOnExit: true,
      };
      const host = await startHost(config, heard.log, heard.metrics);
      cleanUp.push(() => host.stop());
      hosts.push({ ...heard, listen });
    }
    for (const pair of [agents, hosts]) {
      for (const [index, { errors, metrics }] of pair.entries()) {
        const other = pair[1 - index]?.listen.port;
        const said = await eventually(
          "an agent to say what the other is",
          () => errors.find((line) => line.includes("another process has this agent's identity")),
          60_000,
        );
        assert.match(said, new RegExp(`127\\.0\\.0\\.1:${other}, process ${process.pid}`));
        assert.match(await metrics.metrics(), /^slipway_agent_twins 1$/m);
      }
    }
    const [first] = agents;
    await eventually("the region's agent to say which host it is", () =>
      first?.errors.some((line) => line.includes("several processes say they are this host")),
    );
    assert.match((await first?.metrics.metrics()) ?? "", /^slipway_region_twin_hosts 1$/m);
    await eventually("the coordinators' bucket to have it", async () => {
      const entry = await statuses.get(regionAgentKey(region, "eu-1"));
      if (entry === null) return false;
      const { twins, twinHostCount } = RegionAgentStatus.decode(entry.value);
      return twins.length === 1 && twinHostCount === 1;
    });
    // They write over each other, and at most one of them leads: who reads must tell them apart.
    const signs = await statuses.watch({ key: regionAgentKey(region, "eu-1") });
    cleanUp.push(() => signs.stop());
    const terms = new Map<string, number>();
    for await (const { value } of signs) {
      const { process: speaker, leaderTerm } = RegionAgentStatus.decode(value);
      terms.set(speaker?.incarnation ?? "", leaderTerm);
      if (terms.size === 2) break;
    }
    assert.is([...terms.values()].filter((term) => term > 0).length, 1);
    const query = HostQuery.encode({ hostIds: ["h1"] }).finish();
    const reply = await connection.request(hostQuerySubject(region), query, { timeout: 5_000 });
    const [host] = HostQueryReply.decode(reply.data).hosts;
    const ports = host?.twins.map(({ address }) => address).sort();
    assert.equal(ports, hosts.map(({ listen }) => `127.0.0.1:${listen.port}`).sort());
  } finally {
    for (const step of cleanUp.toReversed()) await step();
  }
});

test.run();
