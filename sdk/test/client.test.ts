import { createServer, type Server } from "node:net";
import { once } from "node:events";
import { ServerCredentials, status } from "@grpc/grpc-js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createClient, SlipwayError, type Client, type ClientOptions } from "../src/index.js";
import { Refusal, ScriptedServer, type Script } from "./support/scripted-server.js";
import { collect, rejection, testSignal } from "./support/signal.js";
import { TEST_CERTIFICATE, TEST_KEY } from "./support/test-certificate.js";

const fast = { retry: { attempts: 4, initialDelayMs: 5, maxDelayMs: 20 } };
const test = suite<{ closers: (() => unknown)[] }>("client", { closers: [] });

test.after.each(async ({ closers }) => {
  for (const close of closers.splice(0)) await close();
});

async function start(
  closers: (() => unknown)[],
  script: Script,
  options: ClientOptions = {},
): Promise<{ server: ScriptedServer; client: Client }> {
  const server = await new ScriptedServer(script).start();
  const client = createClient({ coordinator: server.address, ...fast, ...options });
  closers.push(
    () => client.close(),
    () => server.kill(),
  );
  return { server, client };
}

const build = { id: "b1", application: "web", commitSha: "a".repeat(40) };

test("sends requests and gives answers", async ({ closers }) => {
  const { server, client } = await start(closers, {
    unary: {
      applyApplication: () => ({ application: { name: "web", revision: 2 }, changed: true }),
      cancelBuild: () => ({ build }),
      getReplicationStatus: () => ({ replications: [{ region: "eu", bytesCopied: 3 }] }),
      listRegions: () => ({ regions: [{ name: "eu" }] }),
      rollBack: () => ({ deployment: { id: "d2", isRollback: true } }),
    },
  });
  const applied = await client.applications.apply({
    name: "web",
    spec: { source: { repository: "/r" }, regions: ["eu"] },
    actor: "ada",
    reason: "new",
  });
  assert.is(applied.application.revision, 2);
  assert.is(applied.changed, true);
  assert.is((await client.builds.cancel("b1", { submissionId: "s", actor: "ada" })).id, "b1");
  assert.is((await client.replication.status("sha256:0"))[0]?.bytesCopied, 3);
  assert.is((await client.fleet.regions())[0]?.name, "eu");
  assert.is((await client.deployments.rollBack({ application: "web" })).isRollback, true);
  const [apply, cancel] = server.requests.map(({ request }) => request);
  assert.equal([apply?.["actor"], apply?.["reason"]], ["ada", "new"]);
  assert.equal(cancel, { id: "b1", submissionId: "s", actor: "ada", reason: "" });
});

test("deploys with a strategy, plans, steers, and aborts", async ({ closers }) => {
  const steered = { deployment: { id: "d" } };
  const { server, client } = await start(closers, {
    unary: {
      createDeployment: () => steered,
      planDeployment: () => ({ regions: [{ region: "eu", downloadCount: 2 }] }),
      pauseDeployment: () => steered,
      resumeDeployment: () => steered,
      promoteDeployment: () => steered,
      abortDeployment: () => ({ ...steered, rollBack: { id: "back" } }),
    },
  });
  const { deployments } = client;
  const strategy = { waves: [{ regions: ["eu"], percents: [10, 100] }] };
  await deployments.create({ buildId: "b", strategy, overrideFreeze: true, reason: "fix" });
  assert.is((await deployments.plan({ buildId: "b" })).regions[0]?.downloadCount, 2);
  await deployments.planRollBack({ application: "web", toBuildId: "a" });
  await deployments.pause("d", { actor: "ada", reason: "look" });
  await deployments.resume("d");
  await deployments.promote("d", { actor: "bob", step: 2 });
  const aborted = await deployments.abort("d", { keepSwitched: true });
  assert.equal([aborted.deployment.id, aborted.rollBack?.id], ["d", "back"]);
  const sent = server.requests.map(({ request }) => request as Record<string, never>);
  assert.equal(sent[0]?.["strategy"]?.["waves"]?.[0], {
    regions: ["eu"],
    percents: [10, 100],
    bakeTime: undefined,
    requiresApproval: false,
  });
  assert.is(sent[0]?.["overrideFreeze"], true);
  assert.is(sent[1]?.["change"]?.["$case"], "create");
  assert.is(sent[2]?.["change"]?.["value"]?.["toBuildId"], "a");
  assert.equal(sent[3], { id: "d", actor: "ada", reason: "look" });
  assert.equal(sent[4], { id: "d", actor: "", reason: "" });
  assert.equal(sent[5], { id: "d", actor: "bob", reason: "", step: 2 });
  assert.equal(sent[6], { id: "d", actor: "", reason: "", keepSwitched: true });
});

test("freezes, reads the audit, removes applications and hosts", async ({ closers }) => {
  const expireTime = new Date(3_600_000);
  const { server, client } = await start(closers, {
    unary: {
      createFreeze: (request: object) => ({ freeze: { ...request, id: "f" } }),
      listFreezes: () => ({ freezes: [{ id: "f" }] }),
      endFreeze: () => ({}),
      listAuditEntries: ({ pageToken }: { pageToken: string }) => ({
        entries: [{ id: `e${pageToken}` }],
        nextPageToken: pageToken === "" ? "2" : "",
      }),
      removeApplication: ({ name }: { name: string }) => ({
        application: { name, removeTime: new Date(0) },
      }),
      listApplications: () => ({ applications: [{ name: "old" }] }),
      decommissionHost: () => ({}),
    },
  });
  const freeze = await client.freezes.create({ region: "eu", reason: "sale", expireTime });
  assert.equal([freeze.id, freeze.expireTime], ["f", expireTime]);
  assert.is((await client.freezes.list())[0]?.id, "f");
  await client.freezes.end("f", { actor: "ada" });
  const entries = await collect(client.audit.list({ action: "freeze", after: new Date(5) }));
  assert.equal(
    entries.map(({ id }) => id),
    ["e", "e2"],
  );
  assert.equal(server.requests.at(-1)?.request["after"], new Date(5));
  const removed = await client.applications.remove({ name: "old", reason: "gone" });
  assert.equal(removed.removeTime, new Date(0));
  await collect(client.applications.list({ includeRemoved: true }));
  assert.is(server.requests.at(-1)?.request["includeRemoved"], true);
  await client.fleet.decommissionHost({ hostId: "h1", actor: "ada", reason: "broken" });
  assert.equal(server.requests.at(-1)?.request, { hostId: "h1", actor: "ada", reason: "broken" });
});

test("reads lists page by page, when they are wanted", async ({ closers }) => {
  const { server, client } = await start(closers, {
    unary: {
      listBuilds: ({ pageToken }: { pageToken: string }) => ({
        builds: [{ id: `${pageToken}1` }, { id: `${pageToken}2` }],
        nextPageToken: pageToken === "" ? "n" : "",
      }),
    },
  });
  assert.equal(
    (await collect(client.builds.list({ application: "web" }))).map(({ id }) => id),
    ["1", "2", "n1", "n2"],
  );
  assert.is(server.requests[1]?.request["application"], "web");
  for await (const { id } of client.builds.list()) if (id === "1") break;
  assert.is(server.calls.length, 3, "the second page of a list that was left is not read");
  const page = await client.builds.listPage({ pageSize: 2, pageToken: "n" });
  assert.is(page.nextPageToken, "");
  assert.is(server.requests[3]?.request["pageSize"], 2);
});

test("makes a mutation again with the same key when it is unavailable", async ({ closers }) => {
  let tries = 0;
  const retries: string[] = [];
  const { server, client } = await start(
    closers,
    {
      unary: {
        submitBuild: () => {
          tries++;
          if (tries < 3) throw new Refusal(status.UNAVAILABLE, "starting");
          return { build, submissionId: "s", merged: false };
        },
      },
    },
    { onRetry: ({ method, failures }) => retries.push(`${method} ${failures}`) },
  );
  const submitted = await client.builds.submit({ application: "web", commitSha: "a" });
  assert.is(submitted.submissionId, "s");
  const keys = server.requests.map(({ request }) => request["idempotencyKey"]);
  assert.is(keys.length, 3);
  assert.match(String(keys[0]), /^[0-9a-f-]{36}$/);
  assert.is(new Set(keys).size, 1);
  assert.equal(retries, ["SubmitBuild 1", "SubmitBuild 2"]);
  await client.builds.submit({ application: "web", commitSha: "a", idempotencyKey: "mine" });
  assert.is(server.requests.at(-1)?.request["idempotencyKey"], "mine");
});

const unavailable = () => {
  throw new Refusal(status.UNAVAILABLE, "starting", "STARTING");
};

test("gives up after so many tries, and at once where a try may not be repeated", async ({
  closers,
}) => {
  const { server, client } = await start(closers, {
    unary: {
      getBuild: unavailable,
      cancelBuild: unavailable,
      applyApplication: unavailable,
      getDeployment: () => {
        throw new Refusal(status.NOT_FOUND, "no such deployment");
      },
    },
  });
  const error = await rejection(client.builds.get("b"));
  assert.instance(error, SlipwayError);
  assert.is((error as SlipwayError).reason, "STARTING");
  assert.is(server.calls.length, 4);
  await rejection(client.builds.cancel("b"));
  assert.is(server.calls.length, 5);
  await rejection(client.applications.apply({ name: "a", spec: {}, expectedRevision: 3 }));
  assert.is(server.calls.length, 6);
  const missing = (await rejection(client.deployments.get("d"))) as SlipwayError;
  assert.is(missing.code, "NOT_FOUND");
  assert.is(missing.retryable, false);
  assert.is(server.calls.length, 7);
});

test("says what is wrong with a request", async ({ closers }) => {
  const violations = [{ field: "commit_sha", description: "must be a full SHA" }];
  const { client } = await start(closers, {
    unary: {
      submitBuild: () => {
        throw new Refusal(status.INVALID_ARGUMENT, "bad request", "INVALID_REQUEST", violations);
      },
    },
  });
  const error = (await rejection(
    client.builds.submit({ application: "web", commitSha: "x" }),
  )) as SlipwayError;
  assert.is(error.code, "INVALID_ARGUMENT");
  assert.equal(error.violations, violations);
});

test("names an address where nobody listens", async ({ closers }) => {
  const { client, server } = await start(closers, {});
  server.kill();
  const error = (await rejection(client.builds.get("b"))) as SlipwayError;
  assert.is(error.code, "UNAVAILABLE");
  assert.is(error.reason, "COORDINATOR_UNREACHABLE");
  assert.match(error.message, `cannot reach the coordinator at ${server.address}`);
  assert.match(error.message, "ECONNREFUSED");
  assert.is(error.retryable, true);
});

test("goes on with the next address, and comes back", async ({ closers }) => {
  const first = await new ScriptedServer({ unary: { getBuild: () => ({ build }) } }).start();
  const { server: second, client } = await start(closers, {
    unary: { getBuild: () => ({ build }) },
  });
  client.close();
  const both = createClient({ coordinator: [first.address, second.address], ...fast });
  closers.push(
    () => both.close(),
    () => first.kill(),
  );
  await both.builds.get("b1");
  assert.equal([first.calls.length, second.calls.length], [1, 0]);
  first.kill();
  await both.builds.get("b1");
  assert.equal([first.calls.length, second.calls.length], [1, 1]);
  await first.start();
  second.kill();
  await both.builds.get("b1");
  assert.equal([first.calls.length, second.calls.length], [2, 1]);
});

test("does not wait for a connection that is never made", async ({ closers }) => {
  // Accepts and says nothing, as a stopped process or a lost packet looks.
  const silent: Server = createServer().listen(0, "127.0.0.1");
  await once(silent, "listening");
  const sockets = new Set<{ destroy(): void }>();
  silent.on("connection", (socket) => sockets.add(socket.on("error", () => undefined)));
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  const { port } = silent.address() as { port: number };
  const { server, client } = await start(closers, { unary: { getBuild: () => ({ build }) } });
  client.close();
  const both = createClient({
    coordinator: [`127.0.0.1:${port}`, server.address],
    connectTimeoutMs: 150,
    ...fast,
  });
  closers.push(() => both.close());
  assert.is((await both.builds.get("b1")).id, "b1");
});

test("ends a call at its deadline", async ({ closers }) => {
  const { client } = await start(closers, {
    unary: { getBuild: () => new Promise(() => undefined) },
  });
  const error = (await rejection(client.builds.get("b", { timeoutMs: 80 }))) as SlipwayError;
  assert.is(error.code, "DEADLINE_EXCEEDED");
  assert.match(error.message, "within 0.08 s");
});

test("retries stop in time for the deadline", async ({ closers }) => {
  const { client } = await start(
    closers,
    {
      unary: {
        getBuild: () => {
          throw new Refusal(status.UNAVAILABLE, "starting");
        },
      },
    },
    { retry: { attempts: 1_000, initialDelayMs: 20, maxDelayMs: 20 } },
  );
  const started = performance.now();
  const error = (await rejection(client.builds.get("b", { timeoutMs: 300 }))) as SlipwayError;
  assert.is(error.code, "UNAVAILABLE");
  assert.ok(performance.now() - started < 1_000);
});

test("a retry that the deadline cuts short fails with what was said before", async ({
  closers,
}) => {
  let tries = 0;
  const { client } = await start(closers, {
    unary: {
      getBuild: () => {
        if (tries++ > 0) return new Promise(() => undefined);
        throw new Refusal(status.UNAVAILABLE, "the region does not answer");
      },
    },
  });
  const error = (await rejection(client.builds.get("b", { timeoutMs: 1_000 }))) as SlipwayError;
  assert.equal([error.code, error.message], ["UNAVAILABLE", "the region does not answer"]);
  assert.is(tries, 2);
});

test("rejects with the signal's reason, and cancels the coordinator's call", async ({
  closers,
}) => {
  const began = testSignal("call");
  const cancelled = testSignal("cancellation");
  const { client } = await start(closers, {
    unary: {
      getBuild: (_request, call) => {
        call.on("cancelled", () => cancelled.fire());
        began.fire();
        return new Promise(() => undefined);
      },
    },
  });
  const controller = new AbortController();
  const failed = rejection(client.builds.get("b", { signal: controller.signal }));
  await began.promise;
  const reason = new Error("changed my mind");
  controller.abort(reason);
  assert.is(await failed, reason);
  await cancelled.promise;
  assert.is(await rejection(client.builds.get("b", { signal: controller.signal })), reason);
});

test("an abort ends the pause between tries", async ({ closers }) => {
  const controller = new AbortController();
  const reason = new Error("enough");
  const { client } = await start(
    closers,
    {
      unary: {
        getBuild: () => {
          throw new Refusal(status.UNAVAILABLE, "starting");
        },
      },
    },
    {
      retry: { initialDelayMs: 60_000, maxDelayMs: 60_000 },
      onRetry: () => setImmediate(() => controller.abort(reason)),
    },
  );
  const { signal } = controller;
  assert.is(await rejection(client.builds.get("b", { signal, timeoutMs: 200_000 })), reason);
});

test("sends the token of the moment", async ({ closers }) => {
  let token = "one";
  const { server, client } = await start(
    closers,
    { unary: { getBuild: () => ({ build }) } },
    { token: async () => token },
  );
  await client.builds.get("b");
  token = "two";
  await client.builds.get("b");
  assert.equal(
    server.requests.map(({ metadata }) => metadata.get("authorization")),
    [["Bearer one"], ["Bearer two"]],
  );
});

test("a token function that fails or hangs fails the call", async ({ closers }) => {
  const { server, client } = await start(
    closers,
    {},
    { token: () => Promise.reject(new Error("no")) },
  );
  const error = (await rejection(client.builds.get("b"))) as SlipwayError;
  assert.is(error.message, "no");
  const hanging = createClient({
    coordinator: server.address,
    timeoutMs: 50,
    token: () => new Promise<string>(() => undefined),
  });
  closers.push(() => hanging.close());
  assert.match(((await rejection(hanging.builds.get("b"))) as Error).message, "no token within");
});

test("speaks TLS, and only with whom it trusts", async ({ closers }) => {
  const server = await new ScriptedServer(
    { unary: { getBuild: () => ({ build }) } },
    ServerCredentials.createSsl(null, [{ private_key: TEST_KEY, cert_chain: TEST_CERTIFICATE }]),
  ).start();
  closers.push(() => server.kill());
  const connect = (options: ClientOptions): Client => {
    const client = createClient({ retry: { attempts: 1 }, ...options });
    closers.push(() => client.close());
    return client;
  };
  const trusted = { rootCertificates: TEST_CERTIFICATE };
  const byName = connect({ coordinator: `localhost:${server.port}`, tls: trusted });
  assert.is((await byName.builds.get("b1")).id, "b1");
  const tls = { ...trusted, serverName: "coordinator.test" };
  assert.is((await connect({ coordinator: server.address, tls }).builds.get("b1")).id, "b1");
  for (const wrong of [true, trusted, false]) {
    const client = connect({ coordinator: server.address, tls: wrong });
    const error = (await rejection(client.builds.get("b1"))) as SlipwayError;
    assert.is(error.code, "UNAVAILABLE", `${JSON.stringify(wrong)}: ${error.message}`);
  }
});

test("refuses an answer without what the protocol promises", async ({ closers }) => {
  const { client } = await start(closers, { unary: { getBuild: () => ({ build: undefined }) } });
  const error = (await rejection(client.builds.get("b"))) as SlipwayError;
  assert.is(error.reason, "BAD_ANSWER");
});

test("close ends calls under way and refuses new ones", async ({ closers }) => {
  const began = testSignal("call");
  const { client } = await start(closers, {
    unary: {
      getBuild: () => {
        began.fire();
        return new Promise(() => undefined);
      },
    },
  });
  const failed = rejection(client.builds.get("b"));
  await began.promise;
  client.close();
  client.close();
  assert.is(((await failed) as SlipwayError).reason, "CLIENT_CLOSED");
  assert.is(((await rejection(client.builds.get("b"))) as SlipwayError).reason, "CLIENT_CLOSED");
});

test.run();
