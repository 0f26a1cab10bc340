import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { connect as open, createServer, type AddressInfo, type Socket } from "node:net";
import path from "node:path";
import { startNats } from "@slipway/examples/servers";
import { connect } from "@slipway/proto/nats";
import { Events } from "nats";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { eventually, temporaryFolder } from "../host/fixtures.js";

function pass(from: Socket, to: Socket): void {
  from.on("data", (data) => to.write(data));
  from.on("error", () => undefined);
  from.on("close", () => to.end());
}

/**
 * In front of a server: while it hangs it takes connections, as an operating system does for a process
 * that is stopped, and passes nothing on; then it passes all of it on.
 */
async function hangable(port: number) {
  const clients: Socket[] = [];
  const behinds: Socket[] = [];
  let waiting: Socket[] | undefined;
  const serve = (client: Socket): void => {
    if (client.destroyed) return;
    const behind = open(port, "127.0.0.1");
    behinds.push(behind);
    pass(client, behind);
    pass(behind, client);
  };
  const server = createServer((client) => {
    clients.push(client);
    client.on("error", () => undefined);
    if (waiting === undefined) serve(client);
    else waiting.push(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Connections that were ever made, and those that the client has still. */
    counts: () => ({
      made: clients.length,
      open: clients.filter(({ destroyed }) => !destroyed).length,
    }),
    hang(): void {
      waiting = [];
      for (const socket of [...clients, ...behinds]) socket.pause();
    },
    goOn(): void {
      for (const socket of [...clients, ...behinds]) socket.resume();
      for (const client of waiting ?? []) serve(client);
      waiting = undefined;
    },
    async stop(): Promise<void> {
      for (const socket of [...clients, ...behinds]) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

test("a client has one connection once a server that hung goes on, and reads it whole", async () => {
  const { folder, remove } = await temporaryFolder();
  const config = path.join(folder, "nats.conf");
  await writeFile(config, "authorization { timeout: 1, user: u, password: p }");
  const nats = await startNats({ config });
  const between = await hangable(nats.port);
  const patience = { timeout: 300, pingInterval: 200, maxPingOut: 2, reconnectTimeWait: 50 };
  const access = { user: "u", pass: "p" };
  const connection = await connect({
    servers: between.url,
    ...access,
    ...patience,
    maxReconnectAttempts: -1,
  });
  const statuses: unknown[] = [];
  void (async () => {
    for await (const { type } of connection.status()) statuses.push(type);
  })();
  try {
    between.hang();
    await eventually("it to have tried again and again", () => between.counts().made >= 6);
    between.goOn();
    await eventually("it to be back", () => statuses.includes(Events.Reconnect));
    await eventually("the others to be closed", () => between.counts().open === 1);
    const { made } = between.counts();
    // As long as the server waits for who does not say who it is: it closes such connections then.
    const lines: string[] = [];
    const sub = connection.subscribe("many");
    const heard = (async () => {
      for await (const message of sub) {
        lines.push(message.string());
        if (lines.length === 2_000) return;
      }
    })();
    const started = performance.now();
    for (let sent = 0; sent < 2_000; sent += 1) {
      connection.publish("many", `${sent} ${"x".repeat(200)}`);
      if (sent % 100 === 0) await connection.flush();
    }
    await heard;
    await eventually("that time to pass", () => performance.now() - started > 1_500);
    assert.equal(between.counts(), { made, open: 1 });
    assert.is(statuses.filter((type) => type === Events.Disconnect).length, 1);
    assert.equal(
      lines.map((line) => parseInt(line, 10)),
      Array.from({ length: 2_000 }, (_, index) => index),
    );
  } finally {
    await connection.close();
    await between.stop();
    await nats.stop();
    await remove();
  }
});

test.run();
