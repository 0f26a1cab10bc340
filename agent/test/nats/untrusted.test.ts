import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { freePort, startNats } from "@slipway/examples/servers";
import { Endings } from "@slipway/proto/files";
import { pino } from "pino";
import { Registry } from "prom-client";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { registerNatsEndings } from "../../src/metrics/agent-metrics.js";
import { natsEndings } from "../../src/nats/endings.js";
import { NatsLink } from "../../src/nats/link.js";
import { eventually, temporaryFolder } from "../host/fixtures.js";

const run = promisify(execFile);

const jwtUntil = (exp: number): string =>
  `e30.${Buffer.from(JSON.stringify({ exp })).toString("base64url")}.x`;

test("a server that another authority signed is one line, and taken once the file is right", async () => {
  const { folder, remove } = await temporaryFolder();
  const cleanUp: (() => Promise<void>)[] = [remove];
  const make = (name: string) =>
    run(
      "openssl",
      `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ${name}.key -out ${name}.crt
        -subj /CN=${name} -days 20 -addext subjectAltName=DNS:localhost`.split(/\s+/),
      { cwd: folder, timeout: 30_000 },
    );
  try {
    await Promise.all([make("server"), make("other")]);
    const file = (name: string) => path.join(folder, name);
    const config = `
      jetstream { store_dir: ${JSON.stringify(file("data"))} }
      tls { cert_file: ${JSON.stringify(file("server.crt"))}, key_file: ${JSON.stringify(file("server.key"))} }
    `;
    await writeFile(file("nats.conf"), config);
    const server = await startNats({ dir: file("nats"), config: file("nats.conf") });
    cleanUp.push(() => server.stop());
    const lines: Record<string, unknown>[] = [];
    const log = pino({ level: "debug" }, { write: (line) => void lines.push(JSON.parse(line)) });
    const to = (url: string, caFile: string) => {
      const access = { user: () => undefined, caFile, inbox: () => "_INBOX_test" };
      const link = new NatsLink({ servers: [url], name: "test", access, log });
      cleanUp.push(() => link.stop());
      link.start();
      return link;
    };
    const url = `localhost:${server.port}`;
    const wrong = to(url, file("other.crt"));
    await eventually("some tries", () => lines.length >= 3);
    await wrong.stop();
    const warnings = lines.filter(({ level }) => level === 40);
    assert.is(warnings.length, 1);
    const { reason, err } = warnings[0] ?? {};
    assert.match(
      String(reason),
      new RegExp(`server at ${url} has a certificate that --nats-ca .*other\\.crt did not sign`),
    );
    assert.is(err, undefined, "and no stack");
    const right = to(url, file("server.crt"));
    await eventually("a connection", () => right.connection);
    const until = right.certificateExpireTime?.getTime() ?? 0;
    const days = (until - Date.now()) / 86_400_000;
    assert.ok(days > 19 && days <= 20, `${days} days`);
    const jwt = jwtUntil(Date.now() / 1_000 + 86_400);
    const user = () => ({ jwt, seed: "SU" });
    const kind = { of: "region_", link: right, user, credentialsFile: "some.creds" } as const;
    const endings = new Endings(natsEndings({ ...kind, warnsOfServer: true }), log);
    await endings.look();
    await endings.look();
    const ends = lines.flatMap(({ what }) => what ?? []);
    assert.equal(ends, ["region_credentials", "region_server_certificate"], "once each");
    const registry = new Registry();
    registerNatsEndings(registry, endings);
    const told = `slipway_nats_expiry_timestamp_seconds{what="region_server_certificate"} ${until / 1_000}`;
    assert.ok((await registry.metrics()).split("\n").includes(told));
    assert.is(natsEndings({ ...kind, warnsOfServer: false }).length, 1);
    const before = lines.length;
    to(`localhost:${await freePort()}`, file("server.crt"));
    const away = await eventually("one that is away", () =>
      lines.slice(before).find(({ msg }) => msg === "nats cannot be reached"),
    );
    assert.is(away["reason"], undefined);
    assert.ok(away["err"]);
  } finally {
    for (const step of cleanUp.toReversed()) await step();
  }
});

test.run();
