import { CommanderError } from "commander";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Commands } from "../../src/command-line/commands.js";
import { createProgram } from "../../src/command-line/program.js";
import {
  baseEnvironment,
  parseAddress,
  parseAddresses,
  parseBytes,
  parseInteger,
  parseLabels,
  parseList,
  parseName,
  parseVariables,
  type HostConfig,
} from "../../src/config.js";

const parsing = suite("options");

const KEY_AND_OUT = ["--membership-key", "k", "--out", "o"];
const BAD = Symbol("bad");

function result(parse: () => unknown): unknown {
  try {
    return parse();
  } catch (error) {
    assert.is((error as Error).name, "ConfigError");
    return BAD;
  }
}

parsing("are parsed or refused", () => {
  const cases: [(text: string) => unknown, string, unknown][] = [
    [parseAddress, "127.0.0.1:80", { host: "127.0.0.1", port: 80 }],
    [parseAddress, "node-1.example:65535", { host: "node-1.example", port: 65_535 }],
    [parseAddress, "[::1]:80", { host: "::1", port: 80 }],
    [parseAddress, "::1:80", BAD],
    [parseAddress, "host", BAD],
    [parseAddress, "host:0", BAD],
    [parseAddress, "host:65536", BAD],
    [parseAddress, ":80", BAD],
    [parseAddress, "http://host:80", BAD],
    [parseAddress, "a b:80", BAD],
    [
      parseAddresses,
      "a:1,b:2",
      [
        { host: "a", port: 1 },
        { host: "b", port: 2 },
      ],
    ],
    [parseAddresses, "a:1,", BAD],
    [parseList, "a, b", ["a", "b"]],
    [parseList, "", BAD],
    [parseName, "eu-1", "eu-1"],
    [parseName, "EU", BAD],
    [parseName, "-a", BAD],
    [parseName, "a".repeat(64), BAD],
    [(text) => parseLabels(text, { a: "0" }), "b=1,c=x=y", { a: "0", b: "1", c: "x=y" }],
    [(text) => parseLabels(text, {}), "tier=", { tier: "" }],
    [(text) => parseLabels(text, {}), "tier", BAD],
    [(text) => parseLabels(text, {}), "=x", BAD],
    [(text) => parseLabels(text, {}), "Tier=x", BAD],
    [(text) => parseLabels(text, {}), `a=${"x".repeat(256)}`, BAD],
    [(text) => parseVariables(text, { A: "0" }), "B=1,2\nC=", { A: "0", B: "1,2", C: "" }],
    [(text) => parseVariables(text, {}), "1A=x", BAD],
    [(text) => parseVariables(text, {}), "A", BAD],
    [(text) => parseInteger(text, 1, 10), "10", 10],
    [(text) => parseInteger(text, 1, 10), "11", BAD],
    [(text) => parseInteger(text, 1, 10), "1.5", BAD],
    [(text) => parseInteger(text, 0, 10), "", BAD],
    [parseBytes, "512", 512],
    [parseBytes, "20GiB", 20 * 1024 ** 3],
    [parseBytes, "1MB", BAD],
    [parseBytes, "999999999TiB", BAD],
  ];
  for (const [parse, text, expected] of cases)
    assert.equal(
      result(() => parse(text)),
      expected,
      text,
    );
});

parsing("releases inherit little", () => {
  assert.equal(
    baseEnvironment({ PATH: "/p", HOME: "/h", LANG: "C", SECRET: "x" }, { PATH: "/q", A: "1" }),
    {
      PATH: "/q",
      HOME: "/h",
      LANG: "C",
      A: "1",
    },
  );
});

parsing.run();

const lines = suite("command lines");

/** Runs a command line; gives what it would start. */
async function parse(...args: string[]): Promise<[string, unknown]> {
  let started: [string, unknown] | undefined;
  const note = (name: string) => (config: unknown) => {
    started = [name, config];
    return Promise.resolve();
  };
  const commands: Commands = {
    builder: note("builder"),
    region: note("region"),
    host: note("host"),
    launch: note("launch"),
    identity: note("identity"),
  };
  const program = createProgram(commands, { PATH: "/p" });
  for (const one of [program, ...program.commands]) {
    one.exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} });
  }
  await program.parseAsync(["node", "slipway-agent", ...args]);
  assert.ok(started);
  return started;
}

const host = [
  ["--id", "h1"],
  ["--region", "eu"],
  ["--region-nats", "nats://a,nats://b"],
  ["--data-dir", "/data"],
  ["--identity", "id.json"],
  ["--membership-public-key", "m.pub"],
  ["--goal-public-key", "g1.pub,g2.pub"],
  ["--listen", "10.0.0.1:7777"],
  ["--bootstrap", "10.0.0.2:7777,10.0.0.3:7777"],
];

lines("start a host", async () => {
  const [name, config] = await parse(
    "host",
    ...host.flat(),
    "--label",
    "a=1",
    "--label",
    "b=2",
    "--env",
    "X=1",
    "--store-max-bytes",
    "1GiB",
    "--neighbour-cells",
    "c2,c3",
    "--max-upload-bytes-per-second",
    "50MiB",
  );
  assert.is(name, "host");
  assert.equal(config, {
    id: "h1",
    region: "eu",
    cell: "default",
    neighbourCells: ["c2", "c3"],
    labels: { a: "1", b: "2" },
    regionNats: ["nats://a", "nats://b"],
    dataDir: "/data",
    identityFile: "id.json",
    rootPublicKeyFiles: [],
    membershipPublicKeyFile: "m.pub",
    goalPublicKeyFiles: ["g1.pub", "g2.pub"],
    listen: { host: "10.0.0.1", port: 7777 },
    bootstrap: [
      { host: "10.0.0.2", port: 7777 },
      { host: "10.0.0.3", port: 7777 },
    ],
    environment: { PATH: "/p", HOME: "/", LANG: "C.UTF-8", X: "1" },
    storeMaxBytes: 1024 ** 3,
    maxUploadBytesPerSecond: 50 * 1024 ** 2,
    stopReleasesOnExit: false,
    logLevel: "info",
    regionNatsCredentialsFile: undefined,
    natsCaFile: undefined,
  });
});

lines("start an agent by way of the launcher", async () => {
  const started = await parse("launch", "--data-dir", "/d", "--", "host", ...host.flat());
  const args = ["host", ...host.flat()];
  assert.equal(started, ["launch", { dataDir: "/d", logLevel: "info", args }]);
  process.env["SLIPWAY_LAUNCH_TOKEN"] = "t";
  process.env["SLIPWAY_LAUNCHED_RELEASE"] = "r";
  try {
    const [, config] = await parse(...args, "--agent-application", "agent");
    const { launchToken, launchedRelease, agentApplication } = config as HostConfig;
    assert.equal([launchToken, launchedRelease, agentApplication], ["t", "r", "agent"]);
  } finally {
    delete process.env["SLIPWAY_LAUNCH_TOKEN"];
    delete process.env["SLIPWAY_LAUNCHED_RELEASE"];
  }
});

lines("take options from the environment too", async () => {
  process.env["SLIPWAY_LABEL"] = "a=1,b=2";
  process.env["SLIPWAY_STOP_RELEASES_ON_EXIT"] = "1";
  try {
    const [, config] = await parse("host", ...host.flat());
    const { labels, stopReleasesOnExit } = config as {
      labels: unknown;
      stopReleasesOnExit: unknown;
    };
    assert.equal(labels, { a: "1", b: "2" });
    assert.is(stopReleasesOnExit, true);
  } finally {
    delete process.env["SLIPWAY_LABEL"];
    delete process.env["SLIPWAY_STOP_RELEASES_ON_EXIT"];
  }
});

lines("start a region agent, a builder and an identity", async () => {
  const common = ["--coordinator", "c:7700", "--blob-store", "/blobs", "--data-dir", "/d"];
  const region = [
    "--nats",
    "n",
    "--main-blob-store",
    "/main",
    "--recheck-seconds",
    "60",
    ...host.slice(0, 3).flat(),
    ...host.slice(4, 6).flat(),
    ...host.slice(7).flat(),
  ];
  const [, config] = await parse("region", ...common, ...region);
  const { recheckMs, cells, nats } = config as {
    recheckMs: number;
    cells: string[];
    nats: string[];
  };
  assert.equal({ recheckMs, cells, nats }, { recheckMs: 60_000, cells: [], nats: ["n"] });
  const member = ["--identity", "/i", "--join-token-file", "/t"];
  const [, builder] = await parse("builder", "--id", "b1", ...common, ...member);
  const { confinement: _, ...rest } = builder as Record<string, unknown>;
  assert.equal(rest, {
    id: "b1",
    coordinator: "c:7700",
    blobStore: "/blobs",
    dataDir: "/d",
    slots: 1,
    logLevel: "info",
    identityFile: "/i",
    joinTokenFile: "/t",
  });
  const bounds = ["--build-user", "ci", "--build-cpu-seconds", "60", "--build-memory", "4GiB"];
  const [, confined] = await parse("builder", "--id", "b1", ...common, ...bounds);
  assert.equal((confined as { confinement: unknown }).confinement, {
    user: "ci",
    asRoot: false,
    limits: {
      cpuSeconds: 60,
      memoryBytes: 4 * 1024 ** 3,
      fileBytes: undefined,
      processes: undefined,
    },
  });
  const [, identity] = await parse(
    "identity",
    "--id",
    "h1",
    "--region",
    "eu",
    "--role",
    "host",
    "--membership-key",
    "k",
    "--out",
    "o",
  );
  assert.equal(identity, {
    id: "h1",
    region: "eu",
    role: "host",
    membershipKeyFile: "k",
    out: "o",
    days: 365,
  });
  const [, of] = await parse("identity", "--id", "b1", "--role", "builder", ...KEY_AND_OUT);
  assert.is((of as { region: string }).region, "");
});

const trusting = (...names: string[]): string[] =>
  [...host, ["--root-public-key", "r.pub,s.pub"]]
    .filter(([name = ""]) => {
      return !name.endsWith("-public-key") || names.includes(name);
    })
    .flat();

lines("a root key stands for the other two, which may be given as well", async () => {
  const [, config] = await parse("host", ...trusting("--root-public-key"));
  const { rootPublicKeyFiles, membershipPublicKeyFile, goalPublicKeyFiles } = config as HostConfig;
  assert.equal(
    [rootPublicKeyFiles, membershipPublicKeyFile, goalPublicKeyFiles],
    [["r.pub", "s.pub"], undefined, []],
  );
  for (const [missing, given] of [
    ["--membership-public-key", "--goal-public-key"],
    ["--goal-public-key", "--membership-public-key"],
  ] as const) {
    const error: unknown = await parse("host", ...trusting(given)).catch((why: unknown) => why);
    assert.instance(error, CommanderError);
    assert.match((error as Error).message, `${missing} is needed, or a --root-public-key`);
  }
});

lines("refuse what is missing or bad", async () => {
  for (const args of [
    ["host", ...host.slice(1).flat()],
    ["host", ...host.flat(), "--id", "H"],
    ["host", ...host.flat(), "--bogus"],
    ["host", ...host.flat(), "--max-upload-bytes-per-second", "0"],
    [
      "identity",
      "--id",
      "h1",
      "--region",
      "eu",
      "--role",
      "boss",
      "--membership-key",
      "k",
      "--out",
      "o",
    ],
    ["identity", "--id", "h1", "--role", "host", ...KEY_AND_OUT],
    ["identity", "--id", "b", "--role", "builder", "--region", "eu", ...KEY_AND_OUT],
    ["builder", "--id", "b1", "--coordinator", "nowhere", "--blob-store", "/b", "--data-dir", "/d"],
    ["bogus"],
  ]) {
    const error: unknown = await parse(...args).catch((reason: unknown) => reason);
    assert.instance(error, CommanderError);
    assert.is.not((error as CommanderError).exitCode, 0);
  }
});

lines.run();
