import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { NatsConnection } from "nats";
import { refused, startWorld, type World } from "./world.js";

const test = suite("what each role may do on NATS");
let world: World;
test.before(async () => {
  world = await startWorld();
});
test.after(() => world.close());

interface May {
  connection: () => Promise<NatsConnection>;
  publish: string[];
  notPublish: string[];
  subscribe: string[];
  notSubscribe: string[];
}

const DIRECT = "$JS.API.DIRECT.GET";
const roles: Record<string, May> = {
  "a host": {
    connection: () => world.connectMember({ role: "host", id: "eu-1", region: "eu" }, "regional"),
    publish: [
      "slipway.status.eu.eu-1",
      `${DIRECT}.KV_slipway_goals_eu.$KV.slipway_goals_eu._digest`,
    ],
    notPublish: [
      "slipway.status.eu.eu-2",
      "slipway.status.us.eu-1",
      "slipway.status.eu",
      "slipway.goals.eu.shop",
      "slipway.hostlogs.eu.eu-2",
      "$KV.slipway_goals_eu.shop",
      "$KV.slipway_lease_eu.leader",
      `${DIRECT}.KV_slipway_lease_eu.$KV.slipway_lease_eu.leader`,
      `${DIRECT}.KV_slipway_goals_us.$KV.slipway_goals_us.shop`,
      `${DIRECT}.KV_slipway_goals_eu`,
      "$JS.API.STREAM.MSG.GET.KV_slipway_goals_eu",
      "$JS.API.STREAM.INFO.KV_slipway_goals_eu",
      "$JS.API.STREAM.CREATE.mine",
      "$JS.API.STREAM.DELETE.KV_slipway_goals_eu",
      "$JS.API.STREAM.PURGE.KV_slipway_goals_eu",
      "$JS.API.CONSUMER.CREATE.KV_slipway_goals_eu",
      "$JS.API.INFO",
      "$SYS.REQ.SERVER.PING",
      "$SYS.REQ.CLAIMS.UPDATE",
      "_INBOX_host.eu-2.x",
      "_INBOX_region.eu.agents.x",
      "anything",
    ],
    subscribe: ["slipway.goals.eu.*", "slipway.hostlogs.eu.eu-1", "_INBOX_host.eu-1.x.*"],
    notSubscribe: [
      "slipway.goals.us.*",
      "slipway.goals.>",
      "slipway.status.eu.*",
      "slipway.status.eu.eu-1",
      "slipway.hostlogs.eu.*",
      "slipway.hostlogs.eu.eu-2",
      "$KV.>",
      "$JS.>",
      "_INBOX.>",
      "_INBOX_host.>",
      "_INBOX_host.eu-2.>",
      "$SYS.>",
      "_R_.>",
      ">",
      "*",
    ],
  },
  "a region agent in its region": {
    connection: () => world.connectMember({ role: "region", id: "a1", region: "eu" }, "regional"),
    publish: [
      "$KV.slipway_goals_eu.shop",
      "$JS.API.CONSUMER.CREATE.KV_slipway_goals_eu",
      "$JS.API.CONSUMER.CREATE.KV_slipway_lease_eu",
      "$KV.slipway_lease_eu.leader",
      "slipway.hostlogs.eu.eu-1",
      "$JS.API.STREAM.CREATE.KV_slipway_goals_eu",
      "$JS.API.STREAM.UPDATE.KV_slipway_goals_eu",
      "$JS.API.STREAM.INFO.KV_slipway_lease_eu",
    ],
    notPublish: [
      "slipway.status.eu.eu-1",
      "slipway.goals.eu.shop",
      "$JS.API.STREAM.DELETE.KV_slipway_goals_eu",
      "$JS.API.STREAM.CREATE.another",
      "$JS.API.ACCOUNT.PURGE.x",
      "$SYS.REQ.CLAIMS.UPDATE",
      "anything",
    ],
    subscribe: ["slipway.status.eu.*", "_INBOX_region.eu.a1.x"],
    notSubscribe: ["_INBOX_region.eu.a2.>", "_INBOX.>", "$KV.>", "$JS.>", "$SYS.>", ">"],
  },
  "a region agent on the global NATS": {
    connection: () => world.connectMember({ role: "region", id: "a1", region: "eu" }, "global"),
    publish: [
      "$KV.slipway_status.eu.a1",
      "$KV.slipway_status.eu.a1.shop",
      "$JS.API.STREAM.INFO.KV_slipway_goals",
      "$JS.API.CONSUMER.CREATE.KV_slipway_goals.n.$KV.slipway_goals.>",
      "$JS.API.CONSUMER.CREATE.KV_slipway_goals",
      "$JS.API.CONSUMER.CREATE.KV_slipway_status.n.$KV.slipway_status.eu.*.*",
    ],
    notPublish: [
      "$KV.slipway_status.us.a1",
      "$KV.slipway_status.us.a1.shop",
      "$KV.slipway_goals.shop",
      "$KV.slipway_goals._revocations",
      "$KV.slipway_goals._keys",
      "slipway.build.logs.x",
      "slipway.query.us",
      "slipway.query.eu",
      "slipway.logs.us",
      "$JS.API.CONSUMER.CREATE.KV_slipway_status",
      "$JS.API.CONSUMER.CREATE.KV_slipway_status.n",
      "$JS.API.CONSUMER.CREATE.KV_slipway_status.n.$KV.slipway_status.us.*",
      "$JS.API.CONSUMER.DURABLE.CREATE.KV_slipway_goals.d",
      "$JS.API.CONSUMER.CREATE.slipway_build_logs.n.slipway.build.logs.*",
      "$JS.API.STREAM.MSG.GET.KV_slipway_status",
      `${DIRECT}.KV_slipway_status.$KV.slipway_status.eu.a1`,
      "$JS.API.STREAM.CREATE.KV_slipway_status",
      "$JS.API.STREAM.DELETE.KV_slipway_status",
      "_INBOX_coordinator.x",
      "$SYS.REQ.CLAIMS.UPDATE",
    ],
    subscribe: [
      "slipway.query.eu",
      "slipway.artifacts.eu",
      "slipway.logs.eu",
      "_INBOX_region.eu.a1.x",
    ],
    notSubscribe: [
      "slipway.query.us",
      "slipway.query.*",
      "slipway.logs.us",
      "slipway.build.logs.*",
      "_INBOX_region.us.a1.>",
      "_INBOX_coordinator.>",
      "$KV.>",
      ">",
    ],
  },
  "a coordinator": {
    connection: () => world.connectFile("coordinator", "_INBOX_coordinator"),
    publish: [
      "$KV.slipway_goals.shop",
      "$KV.slipway_goals._revocations",
      "$KV.slipway_goals._keys",
      "slipway.query.eu",
      "slipway.artifacts.us",
      "slipway.logs.us",
      "slipway.build.logs.b1",
    ],
    notPublish: [
      "$KV.slipway_status.eu.a1",
      "$JS.API.STREAM.DELETE.KV_slipway_goals",
      "$JS.API.STREAM.CREATE.another",
      "$SYS.REQ.CLAIMS.UPDATE",
      "$SYS.REQ.SERVER.PING",
      "_INBOX_region.eu.a1.x",
      "anything",
    ],
    subscribe: ["slipway.build.logs.b1", "_INBOX_coordinator.x"],
    notSubscribe: ["slipway.query.eu", "_INBOX.>", "_INBOX_region.>", "$SYS.>", ">"],
  },
  "whoever tells of accounts": {
    connection: () => world.connectFile("system", "_INBOX_system"),
    publish: ["$SYS.REQ.ACCOUNT.x.CLAIMS.LOOKUP"],
    notPublish: [
      "$SYS.REQ.SERVER.PING",
      "$SYS.REQ.SERVER.x.RELOAD",
      "$SYS.REQ.CLAIMS.DELETE",
      "$SYS.REQ.CLAIMS.LIST",
      "$KV.slipway_goals.shop",
    ],
    subscribe: ["_INBOX_system.x"],
    notSubscribe: ["$SYS.>", "$SYS.ACCOUNT.>", ">"],
  },
};

for (const [role, may] of Object.entries(roles)) {
  test(`${role} may what it needs, and nothing else`, async () => {
    const connection = await may.connection();
    const { publish, notPublish, subscribe, notSubscribe } = may;
    const published = [...publish, ...notPublish];
    assert.equal(await refused(connection, "publish", published), notPublish);
    const subscribed = [...subscribe, ...notSubscribe];
    assert.equal(await refused(connection, "subscribe", subscribed), notSubscribe);
    assert.not(connection.isClosed());
  });
}

test.run();
