import { status } from "@grpc/grpc-js";
import { BuildStatus, DeploymentState } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createClient, SlipwayError, type Client, type ClientOptions } from "../src/index.js";
import { Refusal, ScriptedServer, type OpenCall, type Stream } from "./support/scripted-server.js";
import { collect, rejection, testSignal } from "./support/signal.js";

const { QUEUED, RUNNING, SUCCEEDED, FAILED } = BuildStatus;
const test = suite<{ closers: (() => unknown)[] }>("watch", { closers: [] });

test.after.each(async ({ closers }) => {
  for (const close of closers.splice(0)) await close();
});

async function start(
  closers: (() => unknown)[],
  method: "watchBuild" | "watchDeployment",
  stream: Stream,
  options: ClientOptions = {},
): Promise<{ server: ScriptedServer; client: Client }> {
  const server = await new ScriptedServer({ streams: { [method]: stream } }).start();
  const retry = { initialDelayMs: 5, maxDelayMs: 20 };
  const client = createClient({ coordinator: server.address, retry, ...options });
  closers.push(
    () => client.close(),
    () => server.kill(),
  );
  return { server, client };
}

const state = (revision: number, value: BuildStatus, more: object = {}) => ({
  event: { $case: "build", value: { id: "b", revision, status: value, ...more } },
});
const lines = (...sequences: number[]) => ({
  event: {
    $case: "logs",
    value: { lines: sequences.map((sequence) => ({ sequence, text: `line ${sequence}` })) },
  },
});

test("tells each state once and ends after the final one", async ({ closers }) => {
  const cancelled = testSignal("cancellation");
  const { client } = await start(closers, "watchBuild", ({ call, send }) => {
    call.on("cancelled", () => cancelled.fire());
    for (const message of [state(1, QUEUED), state(1, QUEUED), state(3, RUNNING)]) send(message);
    for (const message of [state(2, QUEUED), state(4, FAILED), state(5, RUNNING)]) send(message);
  });
  const events = await collect(client.builds.watch("b"));
  assert.equal(
    events.map((event) => event.type === "build" && event.build.status),
    [QUEUED, RUNNING, FAILED],
  );
  await cancelled.promise;
});

test("survives a killed coordinator without a lost or repeated line or state", async ({
  closers,
}) => {
  const asked: unknown[] = [];
  const scripts: ((open: OpenCall) => void)[] = [
    ({ send }) => {
      send(state(1, QUEUED));
      send(state(2, RUNNING));
      send(lines(1, 2, 5));
    },
    ({ send }) => {
      // Sends again what was seen, as one does that does not know better.
      send(state(2, RUNNING));
      send(lines(2, 5, 6));
    },
    ({ call, send }) => {
      send(state(3, SUCCEEDED));
      send(lines(7, 9));
      call.end();
    },
  ];
  const { server, client } = await start(closers, "watchBuild", (open) => {
    asked.push(open.request["afterLogSequence"]);
    scripts[asked.length - 1]?.(open);
  });
  const told: unknown[] = [];
  for await (const event of client.builds.watch("b", { logs: true })) {
    told.push(event.type === "log" ? event.line.sequence : BuildStatus[event.build.status]);
    if (told.at(-1) === 5 || told.at(-1) === 6) {
      server.kill();
      await server.start();
    }
  }
  assert.equal(told, ["QUEUED", "RUNNING", 1, 2, 5, 6, 7, 9, "SUCCEEDED"]);
  assert.equal(asked, [0, 5, 6]);
});

test("the final state outlives a connection that breaks before the last lines", async ({
  closers,
}) => {
  let streams = 0;
  const { server, client } = await start(closers, "watchBuild", ({ call, send, request }) => {
    streams++;
    send(state(3, SUCCEEDED));
    if (streams === 1) {
      send(lines(1));
      return;
    }
    assert.is(request["afterLogSequence"], 1);
    send(lines(2));
    call.end();
  });
  const told: unknown[] = [];
  for await (const event of client.builds.watch("b", { logs: true })) {
    told.push(event.type === "log" ? event.line.sequence : BuildStatus[event.build.status]);
    if (told.length === 1) {
      server.kill();
      await server.start();
    }
  }
  assert.equal(told, [1, 2, "SUCCEEDED"]);
});

test("a stream that ends without a final state is opened again", async ({ closers }) => {
  let streams = 0;
  const { client } = await start(closers, "watchBuild", ({ call, send }) => {
    streams++;
    send(streams < 4 ? state(1, QUEUED) : state(2, FAILED));
    call.end();
  });
  assert.is((await collect(client.builds.watch("b"))).length, 2);
  assert.is(streams, 4);
});

test("an unavailable coordinator is asked again, a missing build is an error", async ({
  closers,
}) => {
  let streams = 0;
  const { client } = await start(closers, "watchBuild", () => {
    streams++;
    if (streams < 3) throw new Refusal(status.UNAVAILABLE, "draining", "DRAINING");
    throw new Refusal(status.NOT_FOUND, "there is no build b", "BUILD_NOT_FOUND");
  });
  const error = (await rejection(collect(client.builds.watch("b")))) as SlipwayError;
  assert.is(error.reason, "BUILD_NOT_FOUND");
  assert.is(streams, 3);
});

test("gives up after so long without contact", async ({ closers }) => {
  const { server, client } = await start(
    closers,
    "watchBuild",
    ({ send }) => void send(state(1, QUEUED)),
  );
  const retries: number[] = [];
  const impatient = createClient({
    coordinator: server.address,
    retry: { initialDelayMs: 5, maxDelayMs: 20 },
    onRetry: ({ failures }) => retries.push(failures),
  });
  closers.push(() => impatient.close());
  client.close();
  const watching = async (): Promise<void> => {
    for await (const _ of impatient.builds.watch("b", { unavailableTimeoutMs: 200 })) server.kill();
  };
  const started = performance.now();
  const error = (await rejection(watching())) as SlipwayError;
  assert.instance(error, SlipwayError);
  assert.is(error.reason, "COORDINATOR_UNREACHABLE");
  assert.is(error.retryable, true);
  assert.ok(performance.now() - started >= 200);
  assert.ok(retries.length >= 3, `${retries.length} tries`);
});

test("says the final state it knows before it gives up on the last lines", async ({ closers }) => {
  const { server, client } = await start(closers, "watchBuild", ({ send }) => {
    send(state(2, FAILED));
    send(lines(1));
  });
  const told: string[] = [];
  const watching = async (): Promise<void> => {
    const options = { logs: true, unavailableTimeoutMs: 60 };
    for await (const event of client.builds.watch("b", options)) {
      told.push(event.type);
      server.kill();
    }
  };
  assert.is(((await rejection(watching())) as SlipwayError).code, "UNAVAILABLE");
  assert.equal(told, ["log", "build"]);
});

test("a stream without a first answer in time is opened again", async ({ closers }) => {
  let streams = 0;
  const { client } = await start(closers, "watchBuild", ({ send }) => {
    streams++;
    if (streams === 2) send(state(1, FAILED));
  });
  assert.is((await collect(client.builds.watch("b", { timeoutMs: 60 }))).length, 1);
  assert.is(streams, 2);
});

test("break cancels the coordinator's call", async ({ closers }) => {
  const cancelled = testSignal("cancellation");
  const { client } = await start(closers, "watchBuild", ({ call, send }) => {
    call.on("cancelled", () => cancelled.fire());
    send(state(1, QUEUED));
  });
  for await (const _ of client.builds.watch("b")) break;
  await cancelled.promise;
});

test("an abort ends it with the signal's reason, waiting or paused", async ({ closers }) => {
  const cancelled = testSignal("cancellation");
  const { client, server } = await start(closers, "watchBuild", ({ call, send }) => {
    call.on("cancelled", () => cancelled.fire());
    send(state(1, QUEUED));
  });
  const controller = new AbortController();
  const reason = new Error("enough");
  const watching = async (): Promise<void> => {
    for await (const _ of client.builds.watch("b", { signal: controller.signal })) {
      setImmediate(() => controller.abort(reason));
    }
  };
  assert.is(await rejection(watching()), reason);
  await cancelled.promise;

  server.kill();
  const second = new AbortController();
  const pausing = createClient({
    coordinator: server.address,
    retry: { initialDelayMs: 60_000, maxDelayMs: 60_000 },
    onRetry: () => setImmediate(() => second.abort(reason)),
  });
  closers.push(() => pausing.close());
  const paused = collect(pausing.builds.watch("b", { signal: second.signal }));
  assert.is(await rejection(paused), reason);
});

test("close ends it", async ({ closers }) => {
  const { client } = await start(closers, "watchBuild", ({ send }) => void send(state(1, QUEUED)));
  const watching = async (): Promise<void> => {
    for await (const _ of client.builds.watch("b")) setImmediate(() => client.close());
  };
  assert.is(((await rejection(watching())) as SlipwayError).reason, "CLIENT_CLOSED");
});

const copied = (bytesCopied: number) =>
  state(4, SUCCEEDED, { replications: [{ region: "eu", bytesCopied }] });

test("until deployable: changes of replication at one revision are told, repetitions are not", async ({
  closers,
}) => {
  const { client } = await start(closers, "watchBuild", ({ send, request }) => {
    assert.is(request["untilDeployable"], true);
    for (const message of [copied(1), copied(1), copied(2)]) send(message);
    send(state(4, SUCCEEDED, { deployable: true }));
  });
  const build = await client.builds.waitUntilDeployable("b");
  assert.is(build.deployable, true);
  assert.is((await collect(client.builds.watch("b", { untilDeployable: true }))).length, 3);
});

test("logs end with the build, or after the kept ones, each once", async ({ closers }) => {
  let cut = false;
  const { client } = await start(closers, "watchBuild", ({ call, send, request }) => {
    if (request["untilCaughtUp"] === true) {
      const after = Number(request["afterLogSequence"]);
      send(lines(after + 1, after + 2));
      // The first connection breaks after the first two lines of four.
      if (!cut) {
        cut = true;
        call.emit("error", new Refusal(status.UNAVAILABLE, "stopping"));
        return;
      }
      send(state(2, RUNNING));
      call.end();
      return;
    }
    send(state(2, RUNNING));
    send(lines(1, 2));
    send(state(3, FAILED));
    send(lines(3));
    call.end();
  });
  const sequences = async (id: string, options: object): Promise<number[]> =>
    (await collect(client.builds.logs(id, options))).map(({ sequence }) => sequence);
  assert.equal(await sequences("ended", {}), [1, 2, 3]);
  assert.equal(await sequences("ended", { afterSequence: 2 }), [3]);
  assert.equal(await sequences("running", { follow: false }), [1, 2, 3, 4]);
});

test("a consumer that does not read holds the coordinator back", async ({ closers }) => {
  const held = testSignal("back-pressure");
  let sent = 0;
  const text = "x".repeat(16 * 1024);
  const { client } = await start(closers, "watchBuild", async ({ call, send }) => {
    send(state(1, RUNNING));
    for (; sent < 20_000; sent++) {
      const value = { lines: [{ sequence: sent + 1, text }] };
      if (send({ event: { $case: "logs", value } })) continue;
      const drained = new Promise((resolve) => call.once("drain", resolve));
      const late = new Promise((resolve) => setTimeout(resolve, 300, "late"));
      if ((await Promise.race([drained, late])) === "late") return held.fire();
    }
  });
  for await (const _ of client.builds.watch("b", { logs: true })) {
    await held.promise;
    break;
  }
  assert.ok(sent < 1_000, `${sent} messages of 16 KiB were taken without being read`);
});

const progress = (revision: number, value: DeploymentState, bytesDone: number) => ({
  deployment: { id: "d", revision, state: value },
  regions: [{ region: "eu", status: { bytesDone } }],
});

test("a deployment: counts are told, older states are not, the final one once", async ({
  closers,
}) => {
  const scripts: ((open: OpenCall) => void)[] = [
    ({ send, call }) => {
      send(progress(1, DeploymentState.PENDING, 0));
      send(progress(2, DeploymentState.RUNNING, 1));
      send(progress(2, DeploymentState.RUNNING, 1));
      send(progress(1, DeploymentState.PENDING, 2));
      send(progress(2, DeploymentState.RUNNING, 3));
      call.end();
    },
    ({ send }) => {
      send(progress(2, DeploymentState.RUNNING, 3));
      send(progress(3, DeploymentState.SUCCEEDED, 4));
      send(progress(3, DeploymentState.SUCCEEDED, 4));
    },
  ];
  let streams = 0;
  const { client } = await start(closers, "watchDeployment", (open) => scripts[streams++]?.(open));
  const told = await collect(client.deployments.watch("d"));
  assert.equal(
    told.map(({ regions }) => regions[0]?.status?.bytesDone),
    [0, 1, 3, 4],
  );
  streams = 0;
  const { deployment } = await client.deployments.waitUntilFinished("d");
  assert.is(deployment.state, DeploymentState.SUCCEEDED);
});

test("a deployment: a new connection asks for what is new, and may have nothing to say", async ({
  closers,
}) => {
  const asked: unknown[] = [];
  const scripts: ((open: OpenCall) => void)[] = [
    ({ send, call }) => {
      send(progress(7, DeploymentState.PAUSED, 1));
      call.end();
    },
    // Nothing is new, or nobody is there.
    () => undefined,
    // So the present state is asked for: it is known, and the watch goes on without a word.
    ({ send, call }) => {
      send(progress(7, DeploymentState.PAUSED, 1));
      setTimeout(() => call.end(), 150);
    },
    ({ send }) => void send(progress(8, DeploymentState.ABORTED, 1)),
  ];
  const { client } = await start(closers, "watchDeployment", (open) => {
    asked.push(open.request["afterRevision"]);
    scripts[asked.length - 1]?.(open);
  });
  const told = await collect(client.deployments.watch("d", { timeoutMs: 60 }));
  assert.equal(
    told.map(({ deployment }) => deployment.revision),
    [7, 8],
  );
  assert.equal(asked, [0, 7, 0, 7]);
});

test.run();
