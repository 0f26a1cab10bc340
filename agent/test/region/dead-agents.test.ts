import { STATUS_BUCKET } from "@slipway/proto";
import { startNats, type NatsServer } from "@slipway/examples/servers";
import { connect, type KV, type NatsConnection } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { forgetDeadAgents } from "../../src/region/dead-agents.js";
import { eventually } from "../host/fixtures.js";

const AFTER_MS = 300;
const test = suite("agents that are no more");
let nats: NatsServer;
let connection: NatsConnection;
let kv: KV;

test.before(async () => {
  nats = await startNats();
  connection = await connect({ servers: nats.url });
  kv = await connection.jetstream().views.kv(STATUS_BUCKET, { history: 1 });
});

test.after(async () => {
  await connection?.close();
  await nats?.stop();
});

async function keys(): Promise<string[]> {
  const found: string[] = [];
  for await (const key of await kv.keys()) found.push(key);
  return found.sort();
}

test("their signs of life go, and nobody else's", async () => {
  const forget = () => forgetDeadAgents(kv, { region: "eu", agentId: "eu-1", afterMs: AFTER_MS });
  for (const key of ["eu.gone", "eu.gone.web", "eu.there", "us.us-1"]) await kv.put(key, "x");
  assert.equal(await forget(), [], "not while this agent has given no sign");
  await kv.put("eu.eu-1", "x");
  const dead = await eventually("some to be dead", async () => {
    await kv.put("eu.there", "x");
    await kv.put("eu.eu-1", "x");
    const found = await forget();
    return found.length > 0 && found;
  });
  assert.equal(dead, ["gone"]);
  assert.equal(await keys(), ["eu.eu-1", "eu.gone.web", "eu.there", "us.us-1"]);
});

test.run();
