import { test } from "uvu";
import * as assert from "uvu/assert";
import { isLoopback, parseAddress } from "../src/address.js";
import { resolveOptions, type ClientOptions } from "../src/options.js";

for (const [text, host, port, loopback] of [
  ["127.0.0.1:7700", "127.0.0.1", 7700, true],
  ["127.8.9.1:1", "127.8.9.1", 1, true],
  ["localhost:65535", "localhost", 65_535, true],
  ["[::1]:7700", "::1", 7700, true],
  ["[2001:db8::1]:443", "2001:db8::1", 443, false],
  ["coordinator.example.com:443", "coordinator.example.com", 443, false],
  ["127.example.com:80", "127.example.com", 80, false],
] as const) {
  test(`reads ${text}`, () => {
    const address = parseAddress(text);
    assert.equal(address, { host, port, text });
    assert.is(isLoopback(address), loopback);
  });
}

for (const text of [
  "",
  "host",
  "host:",
  "host:0",
  "host:65536",
  "host:99999999",
  "::1:7700",
  "[::1]",
  "[host]:1",
  "http://host:1",
  "a b:1",
  ":7700",
]) {
  test(`refuses the address "${text}"`, () => {
    assert.throws(
      () => parseAddress(text),
      (error: unknown) => error instanceof TypeError,
    );
  });
}

test("defaults are filled in", async () => {
  const options = resolveOptions();
  assert.is(options.addresses[0]?.text, "127.0.0.1:7700");
  assert.is(options.tls, undefined);
  assert.is(options.timeoutMs, 10_000);
  assert.equal(options.retry, { attempts: 8, initialDelayMs: 100, maxDelayMs: 2_000 });
  assert.is(await options.token(), undefined);
});

for (const [name, options, tls] of [
  ["loopback is plain text", { coordinator: "[::1]:1" }, undefined],
  ["elsewhere is TLS", { coordinator: "example.com:1" }, {}],
  ["one address elsewhere is enough", { coordinator: ["127.0.0.1:1", "10.0.0.1:1"] }, {}],
  ["plain text elsewhere if asked for", { coordinator: "10.0.0.1:1", tls: false }, undefined],
  ["TLS on loopback if asked for", { tls: true }, {}],
  ["certificates", { tls: { serverName: "x" } }, { serverName: "x" }],
] as [string, ClientOptions, unknown][]) {
  test(name, () => assert.equal(resolveOptions(options).tls, tls));
}

for (const options of [
  { timeoutMs: 0 },
  { timeoutMs: -1 },
  { timeoutMs: Number.NaN },
  { timeoutMs: 2 ** 31 },
  { connectTimeoutMs: 0 },
  { unavailableTimeoutMs: Number.POSITIVE_INFINITY },
  { retry: { attempts: 0 } },
  { retry: { attempts: 1.5 } },
  { retry: { maxDelayMs: 0 } },
  { coordinator: [] },
] as ClientOptions[]) {
  test(`refuses ${JSON.stringify(options)}`, () => {
    assert.throws(
      () => resolveOptions(options),
      (error: unknown) => error instanceof TypeError,
    );
  });
}

test.run();
