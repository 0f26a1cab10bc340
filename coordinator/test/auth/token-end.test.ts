import { credentials, type ClientReadableStream, type Metadata } from "@grpc/grpc-js";
import { FleetServiceClient, getTokenEnd, ReplicationServiceClient } from "@slipway/proto";
import { Registry } from "prom-client";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { startWorld, until, type World } from "../rollout/world.js";
import { bearer, makeToken } from "./tokens.js";

const test = suite("the end of the token that a call is made with");
const DAY_MS = 24 * 3_600_000;
let world: World;
let address: string;
const metrics = new Registry();
const ends: (() => Promise<unknown> | void)[] = [];

test.before(async () => {
  world = await startWorld();
  ({ address } = await world.coordinator({ authentication: "tokens" }, metrics));
});
test.after(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
  await world?.stop();
});

/** What the beginning of an answer to a call says. */
function heard(call: { once(event: "metadata", listener: (metadata: Metadata) => void): unknown }) {
  return new Promise<Metadata>((resolve) => call.once("metadata", resolve));
}

test("answers say it, and streams at once, also when they have nothing else to say", async () => {
  const fleet = new FleetServiceClient(address, credentials.createInsecure());
  const replication = new ReplicationServiceClient(address, credentials.createInsecure());
  ends.push(
    () => fleet.close(),
    () => replication.close(),
  );
  const list = (text: string): Promise<Metadata> =>
    heard(fleet.listRegions({}, bearer(text), () => undefined));
  const expireTime = new Date(Date.now() + 3 * DAY_MS);
  const viewer = await makeToken(world.db, "viewer", { expireTime });
  assert.equal(getTokenEnd(await list(viewer.text)), expireTime);
  const endless = await makeToken(world.db, "viewer", { expireTime: null });
  assert.is(getTokenEnd(await list(endless.text)), undefined);

  const region = await makeToken(world.db, "region", { region: "eu", expireTime, name: "eu" });
  const stream: ClientReadableStream<unknown> = replication.watchReplicationTargets(
    { region: "eu" },
    bearer(region.text),
  );
  stream.on("error", () => undefined);
  ends.push(() => stream.cancel());
  assert.equal(getTokenEnd(await heard(stream)), expireTime);

  const later = await makeToken(world.db, "viewer", {
    expireTime: new Date(Date.now() + 31 * DAY_MS),
  });
  await list(later.text);
  const told = await until("the metric", async () => {
    const text = await metrics.metrics();
    return text.split("\n").filter((line) => line.startsWith("slipway_token_expiry"));
  });
  const seconds = expireTime.getTime() / 1_000;
  assert.equal(
    told.sort(),
    [
      `slipway_token_expiry_timestamp_seconds{token="${region.id}",name="eu",role="region"} ${seconds}`,
      `slipway_token_expiry_timestamp_seconds{token="${viewer.id}",name="the viewer",role="viewer"} ${seconds}`,
    ].sort(),
  );
});

test.run();
