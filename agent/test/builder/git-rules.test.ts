import { suite } from "uvu";
import * as assert from "uvu/assert";
import { classifyGitError, type GitTrouble } from "../../src/builder/git/classify.js";
import {
  isLocal,
  redactCredentials,
  refuseRepository,
  refuseTrunk,
} from "../../src/builder/git/repository-url.js";

const test = suite("git rules");

test("takes what git may be given as a repository", () => {
  for (const repository of [
    "https://example.com/a/b.git",
    "https://user:secret@example.com:8443/a",
    "ssh://git@example.com:2222/a.git",
    "git@example.com:team/a.git",
    "example.com:a",
    "git://example.com/a",
    "file:///srv/git/a.git",
    "/srv/git/a b.git",
  ]) {
    assert.is(refuseRepository(repository), undefined, repository);
  }
});

test("refuses everything else", () => {
  for (const [repository, why] of [
    ["", /names no repository/],
    ["--upload-pack=touch /tmp/x", /option/],
    ["-x", /option/],
    ["ext::sh -c touch% /tmp/x", /remote helpers/],
    ["fd::17", /remote helpers/],
    ["ftp://example.com/a", /ftp: is not allowed/],
    ["ftp://example.com/a", /ftp: is not allowed/],
    ["ssh://-oProxyCommand=x/a", /option/],
    ["ssh://git@-oProxyCommand=x/a", /option/],
    ["-oProxyCommand=x:a", /option/],
    ["git@-oProxyCommand=x:a", /option/],
    ["host:-x", /option/],
    ["https:///a", /no host/],
    ["../a", /neither a URL nor an absolute path/],
    ["a/b", /neither a URL nor an absolute path/],
    ["https://example.com/a\nb", /control characters/],
    [`/${"a".repeat(3000)}`, /over 2048/],
  ] as const) {
    assert.match(refuseRepository(repository) ?? "", why, repository);
  }
});

test("knows the names of branches", () => {
  for (const trunk of ["main", "release/1.2", "a-b_c", "x@y"]) {
    assert.is(refuseTrunk(trunk), undefined, trunk);
  }
  const bad = [
    "",
    "-x",
    "a b",
    "a..b",
    "a:b",
    "*",
    "a^",
    "a~1",
    "x.lock",
    ".x",
    "a/",
    "@{u}",
    "a//b",
  ];
  for (const trunk of bad) {
    assert.is(typeof refuseTrunk(trunk), trunk === "" ? "undefined" : "string", trunk);
  }
});

test("tells local repositories", () => {
  assert.equal(["/a", "file:///a", "https://a/b", "a:b"].map(isLocal), [true, true, false, false]);
});

test("takes credentials out of texts", () => {
  for (const [text, expected] of [
    ["fatal: https://u:p@h/x: no", "fatal: https://***@h/x: no"],
    ["https://token@h/x and http://a:b@c/d", "https://***@h/x and http://***@c/d"],
    ["ssh://git@h/x", "ssh://git@h/x"],
    ["ssh://git:pw@h/x", "ssh://git:***@h/x"],
    ["git@h:x", "git@h:x"],
    ["https://h/x@y", "https://h/x@y"],
  ] as const) {
    assert.is(redactCredentials(text), expected);
  }
});

test("reads git's errors", () => {
  const cases: [string, GitTrouble][] = [
    ["fatal: remote error: upload-pack: not our ref 0123", "no-commit"],
    ["fatal: couldn't find remote ref 0123456789012345678901234567890123456789", "no-commit"],
    ["fatal: couldn't find remote ref refs/heads/main", "no-branch"],
    ["fatal: mismatched algorithms: client sha256; server sha1", "no-commit"],
    ["error: Server does not allow request for unadvertised object 0123", "no-sha"],
    ["fatal: dumb http transport does not support shallow capabilities", "no-sha"],
    ["fatal: detected dubious ownership in repository at '/x'", "foreign"],
    ["fatal: '/x' does not appear to be a git repository", "lasting"],
    ["remote: Repository not found.\nfatal: repository 'https://x/' not found", "lasting"],
    ["fatal: could not read Username for 'https://x': terminal prompts disabled", "lasting"],
    ["git@x: Permission denied (publickey).", "lasting"],
    ["fatal: unable to access 'x': The requested URL returned error: 403", "lasting"],
    ["fatal: unable to access 'x': The requested URL returned error: 429", "transient"],
    ["fatal: unable to access 'x': The requested URL returned error: 503", "transient"],
    ["fatal: unable to access 'x': Could not resolve host: x", "transient"],
    ["ssh: connect to host x port 22: Connection refused", "transient"],
    ["fatal: early EOF", "transient"],
    ["error: file write error: No space left on device", "disk"],
    ["something nobody has seen", "transient"],
  ];
  for (const [stderr, trouble] of cases) assert.is(classifyGitError(stderr), trouble, stderr);
});

test.run();
