import {
  ArtifactQuery,
  ArtifactQueryReply,
  artifactQuerySubject,
  ERROR_HEADER,
  HostApplicationStatus,
  HostStatus,
  hostLogRequestSubject,
  hostLogSubject,
  ReadHostLogRequest,
  ReadHostLogResponse,
} from "@slipway/proto";
import { startNats, type NatsServer } from "@slipway/examples/servers";
import { connect, type Msg, type NatsConnection } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { NatsLink } from "../../src/nats/link.js";
import { HostLogBridge } from "../../src/region/host-log-bridge.js";
import { HostTable } from "../../src/region/host-table.js";
import { Inventory } from "../../src/region/inventory.js";
import { eventually, log } from "../host/fixtures.js";

const region = "eu";
const test = suite("what coordinators ask a region");
let nats: NatsServer;
let connection: NatsConnection;
let links: NatsLink[];
const table = new HostTable(region);
let enrolmentKnown = true;

test.before(async () => {
  nats = await startNats();
  connection = await connect({ servers: nats.url });
  links = ["global", "regional"].map((name) => new NatsLink({ servers: [nats.url], name, log }));
  const [globalLink, regionLink] = links as [NatsLink, NatsLink];
  const both = { globalLink, regionLink, region, log };
  new HostLogBridge(both).start();
  new HostLogBridge(both).start();
  const known = { enrolmentKnown: () => enrolmentKnown, warming: () => false };
  new Inventory({ ...both, ...known, table }).start();
  for (const link of links) link.start();
  await eventually("both links", () => links.every((link) => link.connection !== undefined));
  for (const link of links) await link.connection?.flush();
});
test.after(async () => {
  for (const link of links) await link.stop();
  await connection.close();
  await nats.stop();
});

const labels = (index: number): Record<string, string> => (index < 28 ? { tier: "web" } : {});

async function ask(artifactDigest: string): Promise<ArtifactQueryReply> {
  const query = { application: "web", selector: { tier: "web" }, artifactDigest };
  const bytes = ArtifactQuery.encode(query).finish();
  const reply = await connection.request(artifactQuerySubject(region), bytes, { timeout: 2_000 });
  return ArtifactQueryReply.decode(reply.data);
}

test("who has an artifact", async () => {
  const names = Array.from({ length: 30 }, (_, index) => `h${index}`);
  table.enrol(names.map((hostId, index) => ({ hostId, region, cell: "c", labels: labels(index) })));
  for (const [index, hostId] of names.entries()) {
    // These two were never heard.
    if (index === 4 || index === 27) continue;
    const said = HostApplicationStatus.fromPartial({
      application: "web",
      heldArtifactDigests: index < 5 ? ["sha256:other", "sha256:one"] : ["sha256:other"],
    });
    const other = { application: "api", heldArtifactDigests: ["sha256:one"] };
    const applications = index === 6 ? [said, other] : [said];
    const status = HostStatus.fromPartial({
      hostId,
      region,
      cell: "c",
      labels: labels(index),
      applications,
    });
    table.hear(hostId, HostStatus.encode(status).finish(), performance.now());
  }
  const one = await ask("sha256:one");
  assert.equal([one.hostCount, one.holdingCount, one.missingHosts.length], [28, 4, 20]);
  assert.is(one.missingHosts[0], "h4");
  const other = await ask("sha256:other");
  assert.equal(other, { hostCount: 28, holdingCount: 26, missingHosts: ["h4", "h27"] });
  enrolmentKnown = false;
  await ask("sha256:one").then(
    () => assert.unreachable("without the enrolment there is nothing to say"),
    ({ code }: { code: string }) => assert.is(code, "TIMEOUT"),
  );
});

const readLog = (hostId: string): Promise<Msg> => {
  const request = ReadHostLogRequest.fromPartial({ hostId, application: "web" });
  const bytes = ReadHostLogRequest.encode(request).finish();
  return connection.request(hostLogSubject(region), bytes, { timeout: 5_000 });
};

const wrong = async (hostId: string): Promise<string> =>
  (await readLog(hostId)).headers?.get(ERROR_HEADER) ?? "";

test("a host's log is asked of the host, once, and its answer passed back", async () => {
  let asked = 0;
  connection.subscribe(hostLogRequestSubject(region, "h1"), {
    callback: (_error, message) => {
      asked += 1;
      const { application } = ReadHostLogRequest.decode(message.data);
      const response = { content: Buffer.from(application), position: "p", gap: false };
      message.respond(ReadHostLogResponse.encode(response).finish());
    },
  });
  const reply = await readLog("h1");
  assert.is(reply.headers?.get(ERROR_HEADER) ?? "", "");
  assert.is(Buffer.from(ReadHostLogResponse.decode(reply.data).content).toString(), "web");
  assert.is(asked, 1);
});

test("what goes wrong with a log is said", async () => {
  assert.match(await wrong("h2"), /not connected/);
  assert.match(await wrong("*"), /not a name/);
  connection.subscribe(hostLogRequestSubject(region, "mute"), { callback: () => {} });
  assert.match(await wrong("mute"), /did not answer in 3000 ms/);
  const many = await Promise.all(Array.from({ length: 80 }, () => wrong("mute")));
  assert.ok(many.some((said) => said.includes("32 log requests")));
});

test.run();
