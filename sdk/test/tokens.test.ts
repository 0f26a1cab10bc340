import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Metadata, status } from "@grpc/grpc-js";
import { setErrorDetails, setTokenEnd, Token, TokenRole } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createClient } from "../src/client.js";
import { tokenText } from "../src/cli/render/tokens.js";
import { SlipwayError } from "../src/errors.js";
import { runCli, type Ended } from "./support/run-cli.js";
import { Refusal, ScriptedServer, type Script } from "./support/scripted-server.js";
import { TEST_CERTIFICATE } from "./support/test-certificate.js";

const test = suite("tokens");
const ID = "0123456789abcdef01234567";
const SECRET = "A".repeat(43);
const TEXT = `slipway_${ID}_${SECRET}`;
const token = {
  id: ID,
  name: "ci",
  role: TokenRole.DEPLOYER,
  applications: ["web"],
  expireTime: new Date(Date.now() + 3_700_000),
};
/** Answers as a coordinator does to a token that ends in so many days. */
const ending = (call: { sendMetadata(metadata: Metadata): void }, days: number): void => {
  const metadata = new Metadata();
  setTokenEnd(metadata, new Date(Date.now() + days * 86_400_000 + 60_000));
  call.sendMetadata(metadata);
};
const script: Script = {
  unary: {
    listRegions: (_: never, call) => {
      const [, days = "99"] =
        /^Bearer ends-in-(\d+)$/.exec(String(call.metadata.get("authorization")[0])) ?? [];
      ending(call, Number(days));
      return {};
    },
    getApplication: (_: never, call) => {
      ending(call, 3);
      throw new Refusal(status.NOT_FOUND, "there is no application");
    },
    createToken: () => ({ token, text: TEXT }),
    listTokens: () => ({ tokens: [token, { ...token, name: "old", revokeTime: new Date() }] }),
    revokeToken: ({ id }: { id: string }) => {
      if (id === ID) return {};
      throw new Refusal(status.NOT_FOUND, "there is no token", "TOKEN_NOT_FOUND");
    },
    whoAmI: (_: never, call) => {
      const [header] = call.metadata.get("authorization");
      if (header === "Bearer off") return {};
      if (header === undefined) {
        throw new Refusal(status.UNAUTHENTICATED, "send a token", "TOKEN_MISSING");
      }
      if (header === "Bearer wait") throw limited();
      return { token };
    },
  },
};

function limited(): Refusal {
  const refusal = new Refusal(status.RESOURCE_EXHAUSTED, "wait");
  const details = { reason: "TOO_MANY_AUTH_FAILURES", violations: [], retryDelayMs: 60_000 };
  setErrorDetails(refusal.metadata, status.RESOURCE_EXHAUSTED, "wait", details);
  return refusal;
}

let server: ScriptedServer;
let dir: string;
test.before(async () => {
  server = await new ScriptedServer(script).start();
  dir = await mkdtemp(path.join(tmpdir(), "slipway-tokens-"));
  await writeFile(path.join(dir, "token"), `${TEXT}\n`, { mode: 0o600 });
  await writeFile(path.join(dir, "empty"), "\n", { mode: 0o600 });
});
test.after(async () => {
  server?.kill();
  await rm(dir, { recursive: true, force: true });
});
const slipway = (args: string[], env: Record<string, string> = {}): Promise<Ended> =>
  runCli(args, { env: { SLIPWAY_COORDINATOR: server.address, ...env } });
const sent = (): unknown => server.requests.at(-1)?.metadata.get("authorization")[0];

test("the command sends the token of a file or of the environment, and says whose it is", async () => {
  const file = path.join(dir, "token");
  for (const [args, env] of [
    [["whoami", "--token-file", file], {}],
    [["whoami"], { SLIPWAY_TOKEN_FILE: file }],
    [["whoami"], { SLIPWAY_TOKEN: TEXT }],
  ] as const) {
    const { code, stdout } = await slipway([...args], env);
    assert.is(code, 0);
    assert.is(sent(), `Bearer ${TEXT}`);
    assert.match(stdout, /^ci: role deployer, limited to web; valid for 1 h/);
    assert.not.match(stdout, SECRET);
  }
  const off = await slipway(["whoami"], { SLIPWAY_TOKEN: "off" });
  assert.match(off.stdout, /asks for no tokens/);
});

test("a token that can't be read or is missing is told plainly, and never shown", async () => {
  const none = await slipway(["whoami", "--token-file", path.join(dir, "none")]);
  assert.is(none.code, 2);
  assert.match(none.stderr, /cannot read .*none: ENOENT/);
  const empty = await slipway(["whoami", "--token-file", path.join(dir, "empty")]);
  assert.is(empty.code, 2);
  const open = path.join(dir, "open");
  await writeFile(open, `${TEXT}\n`, { mode: 0o644 });
  const read = await slipway(["whoami", "--token-file", open]);
  assert.is(read.code, 2);
  assert.match(read.stderr, /--token-file: .*open .*\(mode 0644\): chmod 600 .*open/);
  assert.not.match(read.stderr, SECRET);
  const ca = await slipway(["whoami", "--ca", path.join(dir, "empty")]);
  assert.is(ca.code, 2);
  assert.match(ca.stderr, /--ca: .*empty holds no certificate in PEM/);
  const spoilt = await slipway(["whoami"], { SLIPWAY_TOKEN: `${TEXT} ${TEXT}` });
  assert.is(spoilt.code, 2);
  assert.match(spoilt.stderr, /SLIPWAY_TOKEN holds no token/);
  assert.not.match(spoilt.stderr, SECRET);
  const missing = await slipway(["whoami"]);
  assert.is(missing.code, 4);
  assert.match(missing.stderr, /--token-file/);
  const half = await slipway(["whoami", "--client-cert", path.join(dir, "token")]);
  assert.is(half.code, 2);
  assert.match(half.stderr, /go together/);
  const [cert, key] = [path.join(dir, "client.crt"), path.join(dir, "client.key")];
  await writeFile(cert, TEST_CERTIFICATE);
  const other = generateKeyPairSync("ed25519").privateKey;
  await writeFile(key, other.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  const unfit = await slipway(["whoami", "--client-cert", cert, "--client-key", key]);
  assert.is(unfit.code, 2);
  assert.match(unfit.stderr, /--client-key .*client\.key: the key is not the certificate's/);
});

test("tokens are made, listed and revoked", async () => {
  const create = ["token", "create", "--name", "ci", "--role", "deployer", "--app", "web,blog"];
  const made = await slipway([...create, "--for", "2h"]);
  assert.equal([made.code, made.stdout], [0, `${TEXT}\n`]);
  const { request = {} } = server.requests.at(-1) ?? {};
  assert.equal(request["applications"], ["web", "blog"]);
  const left = (request["expireTime"] as Date).getTime() - Date.now();
  assert.ok(left > 3_600_000 && left <= 7_200_000);
  const json = await slipway([...create, "--json"]);
  assert.equal(Object.keys(JSON.parse(json.stdout) as object), ["token", "text"]);
  const out = path.join(dir, "new.token");
  const written = await slipway([...create, "--out", out]);
  assert.is(written.code, 0, written.stderr);
  assert.not.match(written.stdout + written.stderr, SECRET);
  assert.is(await readFile(out, "utf8"), `${TEXT}\n`);
  assert.is((await stat(out)).mode & 0o777, 0o600);
  const before = server.requests.length;
  const again = await slipway([...create, "--out", out]);
  assert.equal([again.code, server.requests.length], [2, before], "no token is made");
  assert.match(again.stderr, /new\.token is there already; name another file/);
  const wrong = await slipway(["token", "create", "--name", "x", "--role", "boss"]);
  assert.is(wrong.code, 2);
  assert.match(wrong.stderr, /one of viewer, deployer/);
  const listed = await slipway(["token", "list", "--all"]);
  assert.match(listed.stdout, /ci +deployer +web +never +for 1 h.*\n.*old .* revoked/);
  assert.is((await slipway(["token", "revoke", ID])).code, 2, "a reason is asked for");
  const revoked = await slipway(["token", "revoke", ID, "--reason", "stolen"]);
  assert.match(revoked.stdout, `token ${ID} is revoked`);
  assert.is((await slipway(["token", "revoke", "x", "--reason", "y"])).code, 3);
});

/** How a call ends, and after how many tries. */
async function codes(text: string | undefined): Promise<[string, string, number]> {
  const before = server.requests.length;
  const client = createClient({
    coordinator: server.address,
    ...(text === undefined ? {} : { token: text }),
  });
  try {
    await client.tokens.whoAmI();
    return ["OK", "", 0];
  } catch (error) {
    assert.instance(error, SlipwayError);
    const { code, reason } = error as SlipwayError;
    return [code, reason, server.requests.length - before];
  } finally {
    client.close();
  }
}

test("what a token is refused for is not tried again", async () => {
  assert.equal(await codes(undefined), ["UNAUTHENTICATED", "TOKEN_MISSING", 1]);
  assert.equal(await codes("wait"), ["RESOURCE_EXHAUSTED", "TOO_MANY_AUTH_FAILURES", 1]);
});

test("a call whose token ends within a week says so, once, and beside its output", async () => {
  const run = (days: number, ...args: string[]): Promise<Ended> =>
    runCli(["regions", ...args, "--coordinator", server.address], {
      env: { SLIPWAY_TOKEN: `ends-in-${days}` },
    });
  const [soon, later, json] = await Promise.all([run(3), run(8), run(3, "--json")]);
  assert.is(
    soon.stderr,
    "warning: the token that was sent ends in 3 d: have an admin make the next one (slipway token create)\n",
  );
  assert.equal([soon.code, later.code, later.stderr], [0, 0, ""]);
  assert.match(
    (JSON.parse(json.stderr) as { warning: string }).warning,
    /^the token .* ends in 3 d/,
  );
  assert.equal(JSON.parse(json.stdout), { regions: [] });
  const status = await runCli(["app", "get", "web", "--coordinator", server.address]);
  assert.is(status.code, 3);
  assert.match(
    status.stderr,
    /^warning: the token that was sent ends in 3 d.*\nerror: there is no/,
  );
});

for (const [text, lifeMs, isSoon] of [
  ["just made for an hour", 3_600_000, false],
  ["made for a month", 30 * 86_400_000, true],
  ["of which it is not known when it was made", undefined, true],
] as const) {
  test(`a token ${text} that has an hour left ${isSoon ? "ends soon" : "does not end soon"}`, () => {
    const now = Date.now();
    const expireTime = new Date(now + 3_600_000);
    const createTime = lifeMs === undefined ? undefined : new Date(expireTime.getTime() - lifeMs);
    const look = { colour: false, columns: 80, now };
    const said = tokenText(Token.fromPartial({ ...token, createTime, expireTime }), look);
    assert.is(/: ends soon/.test(said), isSoon, said);
  });
}

test("a region's token that is limited to no region is warned of", async () => {
  const create = ["token", "create", "--name", "r", "--role", "region"];
  const [all, one, json] = await Promise.all([
    slipway(create),
    slipway([...create, "--region", "eu"]),
    slipway([...create, "--json"]),
  ]);
  assert.match(all.stderr, /^warning: without --region the token is good for every region: limit/);
  assert.not.match(one.stderr, /warning/);
  assert.match((JSON.parse(json.stderr) as { warning: string }).warning, /^without --region/);
  assert.is(all.stdout, `${TEXT}\n`);
});

test("the client tells when its token ends, and whoami and list show it", async () => {
  const told: Date[] = [];
  const client = createClient({
    coordinator: server.address,
    token: "ends-in-30",
    onTokenExpireTime: (expireTime) => told.push(expireTime),
  });
  await client.fleet.regions();
  client.close();
  assert.is(told.length, 1);
  assert.ok(Math.abs(Number(told[0]) - Date.now() - 30 * 86_400_000) < 120_000);
  const me = await runCli(["whoami", "--coordinator", server.address], {
    env: { SLIPWAY_TOKEN: "any" },
  });
  assert.match(me.stdout, /valid for 1 h( 1 min)?: ends soon/);
});

test.run();
