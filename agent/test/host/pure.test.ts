import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Release } from "@slipway/proto";
import { hostBucket, isChosen, selectorTakes } from "../../src/host/choose.js";
import { expand, resolveEnvironment } from "../../src/host/expand.js";
import { compareGoalOrder } from "../../src/host/goal-order.js";
import { releaseEnvironment } from "../../src/host/release-environment.js";
import {
  RELEASE_FOLDER_PATTERN,
  releaseFolderName,
  releaseKey,
} from "../../src/host/release-key.js";

const choosing = suite("which hosts switch");

choosing("a host's bucket is the documented hash", () => {
  // printf 'h1/d1' | sha256sum: the first 4 bytes, modulo 10,000.
  assert.is(hostBucket("h1", "d1"), 0xfe_8e_9f_64 % 10_000);
});

choosing("raising the percent only adds hosts, and the share is about the percent", () => {
  const hosts = Array.from({ length: 5_000 }, (_, index) => `host-${index}`);
  let before = new Set<string>();
  for (const percent of [1, 5, 25, 50, 99, 100]) {
    const chosen = new Set(hosts.filter((host) => isChosen(host, "deployment", percent * 100)));
    for (const host of before) assert.ok(chosen.has(host));
    assert.ok(
      Math.abs(chosen.size / hosts.length - percent / 100) < 0.03,
      `${chosen.size} of 5000`,
    );
    before = chosen;
  }
  assert.is(before.size, hosts.length);
});

choosing("a selector takes hosts with all of its labels", () => {
  for (const [selector, labels, taken] of [
    [{}, {}, true],
    [{}, { a: "1" }, true],
    [{ a: "1" }, { a: "1", b: "2" }, true],
    [{ a: "1" }, { a: "2" }, false],
    [{ a: "1", b: "2" }, { a: "1" }, false],
    [{ toString: "x" }, {}, false],
  ] as [Record<string, string>, Record<string, string>, boolean][]) {
    assert.is(selectorTakes(selector, labels), taken, JSON.stringify({ selector, labels }));
  }
});

choosing("goals are ordered by generation, then by issue time", () => {
  const late = { generation: 1, issueTimeMs: 9 };
  const next = { generation: 2, issueTimeMs: 1 };
  const again = { generation: 2, issueTimeMs: 9 };
  assert.ok(compareGoalOrder(next, late) > 0);
  assert.ok(compareGoalOrder(next, again) < 0);
  assert.is(compareGoalOrder(again, again), 0);
});

choosing.run();

const expanding = suite("expansion");

expanding("replaces what it knows and leaves the rest to the shell", () => {
  const environment = { PORT: "80", EMPTY: "", __proto__: null } as unknown as Record<
    string,
    string
  >;
  for (const [text, expected] of [
    ["plain", "plain"],
    ["${PORT}", "80"],
    [":${PORT}${PORT}:${EMPTY}.", ":8080:."],
    ["$$", "$"],
    ["$${PORT}", "${PORT}"],
    ["$$$${PORT}", "$${PORT}"],
    ["$PORT $1 ${PORT:-x} ${} ${1}", "$PORT $1 ${PORT:-x} ${} ${1}"],
    ["${PORT", "${PORT"],
  ] as const) {
    assert.is(expand(text, environment), expected, text);
  }
  assert.throws(() => expand("${NOPE}", environment), /is not in the environment/);
  assert.throws(() => expand("${toString}", environment), /is not in the environment/);
});

expanding("variables refer to the base and to each other", () => {
  const base = { PATH: "/bin", HOST: "h" };
  assert.equal(
    resolveEnvironment(base, {
      URL: "http://${NAME}:${PORT}",
      PORT: "80",
      NAME: "${HOST}.x",
      PATH: "/opt:${PATH}",
    }),
    { PATH: "/opt:/bin", HOST: "h", URL: "http://h.x:80", PORT: "80", NAME: "h.x" },
  );
  assert.throws(() => resolveEnvironment({}, { A: "${B}", B: "${A}" }), /circle/);
  assert.throws(() => resolveEnvironment({}, { A: "${A}" }), /is not in the environment/);
  const doubling = Object.fromEntries(
    Array.from({ length: 40 }, (_, i) => [
      `V${i}`,
      i === 0 ? "xxxxxxxx" : `\${V${i - 1}}\${V${i - 1}}`,
    ]),
  );
  assert.throws(() => resolveEnvironment({}, doubling), /longer than/);
});

expanding("a release's environment is clean and ordered", () => {
  const release = Release.fromPartial({
    buildId: "b",
    commitSha: "c",
    run: {
      environment: { SLIPWAY_REGION: "mine", ADDRESS: "${SLIPWAY_LABEL_HTTP_PORT}/${EXTRA}" },
    },
  });
  const host = {
    hostId: "h1",
    region: "eu",
    labels: { "http-port": "81" },
    base: { PATH: "/bin", EXTRA: "e" },
  };
  assert.equal(releaseEnvironment(host, "web", release), {
    PATH: "/bin",
    EXTRA: "e",
    SLIPWAY_HOST_ID: "h1",
    SLIPWAY_REGION: "mine",
    SLIPWAY_APPLICATION: "web",
    SLIPWAY_BUILD_ID: "b",
    SLIPWAY_COMMIT_SHA: "c",
    SLIPWAY_LABEL_HTTP_PORT: "81",
    ADDRESS: "81/e",
  });
});

expanding("releases are the same by artifact and run spec alone", () => {
  const digest = `sha256:${"ab".repeat(32)}`;
  const release = (buildId: string, revision: number, environment: Record<string, string>) =>
    Release.fromPartial({
      buildId,
      applicationRevision: revision,
      artifactDigest: digest,
      run: { command: ["x"], environment },
    });
  const one = release("b1", 1, { A: "1", B: "2" });
  assert.is(releaseKey(one), releaseKey(release("b2", 2, { B: "2", A: "1" })));
  assert.is.not(releaseKey(one), releaseKey(release("b1", 1, { A: "1" })));
  assert.match(releaseFolderName(one), RELEASE_FOLDER_PATTERN);
  assert.match(releaseFolderName(one), /^abababababababab-r1-/);
});

expanding.run();
