import net from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MetricsListenError, MetricsServer } from "../src/metrics-server.js";

const log = { info: () => undefined, error: () => undefined };
const listen = { host: "127.0.0.1", port: 0 };
const source = {
  contentType: "text/plain; version=0.0.4; charset=utf-8",
  metrics: async () => "up 1\n",
};
const start = (tell = () => "up 1\n"): Promise<MetricsServer> =>
  MetricsServer.start({ listen, source: { ...source, metrics: async () => tell() }, log });

test("tells metrics and health, and nothing else", async () => {
  const server = await start();
  const get = (path: string, init?: RequestInit): Promise<Response> =>
    fetch(`http://127.0.0.1:${server.port}${path}`, init);
  try {
    assert.is((await get("/healthz")).status, 503);
    server.ready();
    const health = await get("/healthz?x=1");
    assert.equal([health.status, await health.text()], [200, "ok\n"]);
    assert.is((await get("/")).status, 404);
    const posted = await get("/metrics", { method: "POST", body: "x".repeat(100_000) });
    assert.equal([posted.status, posted.headers.get("allow")], [405, "GET, HEAD"]);
    const metrics = await get("/metrics");
    assert.is(metrics.headers.get("content-type"), source.contentType);
    const text = await metrics.text();
    assert.match(text, /^up 1\n# HELP slipway_metrics_connections_refused_total /);
    assert.match(text, /^slipway_metrics_connections_refused_total\{reason="rate"\} 0\n/m);
    assert.is((await get("/metrics", { method: "HEAD" })).status, 200);
  } finally {
    await server.stop();
  }
});

test("a port that is taken is an error with a type; stopping frees it, whoever is connected", async () => {
  const server = await start();
  const { port } = server;
  const again = (): Promise<MetricsServer> =>
    MetricsServer.start({ listen: { host: "127.0.0.1", port }, source, log });
  const error = await again().catch((reason: unknown) => reason);
  assert.instance(error, MetricsListenError);
  assert.match(String(error), `127.0.0.1:${port}`);
  const idle = net.connect(port, "127.0.0.1").on("error", () => {});
  await new Promise((resolve) => idle.once("connect", resolve));
  await Promise.all([server.stop(), server.stop()]);
  await (await again()).stop();
  idle.destroy();
});

test("a metric that can't be told is an error, and the next scrape is tried anew", async () => {
  let broken = true;
  const server = await start(() => {
    if (broken) throw new Error("broken");
    return "fragile 1\n";
  });
  try {
    const url = `http://127.0.0.1:${server.port}/metrics`;
    assert.is((await fetch(url)).status, 500);
    broken = false;
    assert.match(await (await fetch(url)).text(), "fragile 1\n");
  } finally {
    await server.stop();
  }
});

test("slow and silent connections leave room for the scraper, and end", async () => {
  const server = await start();
  const get = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${server.port}${path}`);
  const sockets = ["", "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: "].flatMap((says) =>
    Array.from({ length: 60 }, (_, number) => {
      const from = { localAddress: `127.0.0.${(number % 5) + 1}` };
      const socket = net.connect({ port: server.port, host: "127.0.0.1", ...from });
      socket.on("error", () => {});
      socket.write(says);
      return socket.resume();
    }),
  );
  try {
    await until(() => server.connections + server.refused.crowded === 120);
    assert.is(server.connections, 64);
    assert.is((await get("/metrics")).status, 200);
    await until(() => sockets.every(({ closed }) => closed));
    assert.is((await get("/metrics")).status, 200);
    const long = { headers: { "x-long": "x".repeat(9_000) } };
    const url = `http://127.0.0.1:${server.port}/metrics`;
    assert.is((await fetch(url, long)).status, 431);
  } finally {
    for (const socket of sockets) socket.destroy();
    await server.stop();
  }
});

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 30_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error("not so within 30 s");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test.run();
