import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  CertificateFileError,
  checkCertificateFiles,
  checkSecretFiles,
  explainUntrusted,
  SecretFileError,
  withOptions,
} from "../../src/files/index.js";

const test = suite("files that options name");
const folder = mkdtempSync(path.join(tmpdir(), "slipway-files-"));
const file = path.join(folder, "secret");
test.after(() => rmSync(folder, { recursive: true }));

function checked(mode: number): string[] | string {
  writeFileSync(file, "a secret");
  chmodSync(file, mode);
  try {
    return checkSecretFiles({ "--token-file": file });
  } catch (error) {
    assert.instance(error, SecretFileError);
    return (error as Error).message;
  }
}

for (const mode of [0o600, 0o400, 0o700]) {
  test(`a secret of mode ${mode.toString(8)} is its owner's alone`, () => {
    assert.equal(checked(mode), []);
  });
}
for (const [mode, who] of [
  [0o640, "its group"],
  [0o604, "everybody on this machine"],
  [0o644, "everybody on this machine"],
  [0o620, "its group"],
] as const) {
  test(`a secret of mode ${mode.toString(8)} is refused`, () => {
    assert.is(
      checked(mode),
      `--token-file: ${file} holds a secret, and ${who} may use it (mode 0${mode.toString(8)}): ` +
        `chmod 600 ${file}`,
    );
  });
}

test("what another user owns is warned of, if everybody may read it", () => {
  // Only root can give a file away.
  if (process.geteuid?.() !== 0) return;
  writeFileSync(file, "a secret");
  chownSync(file, 12_345, 12_345);
  chmodSync(file, 0o440);
  assert.equal(checkSecretFiles({ "--identity": file }), []);
  chmodSync(file, 0o644);
  const [warning, ...more] = checkSecretFiles({ "--identity": file });
  assert.match(warning ?? "", /^--identity: .*secret holds .*\(mode 0644\): have its owner/);
  assert.equal(more, []);
  rmSync(file);
});

test("what is not there, no file, or not named is left alone", () => {
  const files = { "--a": path.join(folder, "none"), "--b": undefined, "--c": folder };
  assert.equal(checkSecretFiles({ ...files, "--d": "/dev/null" }), []);
});

test("certificates: what is none is refused by its option and name", () => {
  const said = (text: string): string => {
    writeFileSync(file, text);
    try {
      checkCertificateFiles({ "--nats-ca": file, "--other": undefined });
      return "";
    } catch (error) {
      assert.instance(error, CertificateFileError);
      return (error as Error).message;
    }
  };
  assert.is(
    said("-----BEGIN PUBLIC KEY-----\nx\n"),
    `--nats-ca: ${file} holds no certificate in PEM ("-----BEGIN CERTIFICATE-----")`,
  );
  const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  assert.match(said(broken), /^--nats-ca: a certificate in .*secret cannot be read: /);
  assert.throws(
    () => checkCertificateFiles({ "--tls-cert": path.join(folder, "none") }),
    /--tls-cert: .*none cannot be read: ENOENT/,
  );
});

function optionOf(flags: string) {
  const [long = ""] = flags.split(" ");
  return { flags, long, attributeName: () => long };
}

const commandOf = (values: Record<string, unknown>) => ({
  options: Object.keys(values).map(optionOf),
  opts: () =>
    Object.fromEntries(
      Object.entries(values).map(([flags, value]) => [flags.split(" ")[0], value]),
    ),
});

for (const [message, expected] of [
  ["the goal key /k/goal.key cannot be read: ENOENT", "--goal-key: "],
  ["ENOENT: no such file, open '/k/goal.key'", "--goal-key: "],
  ["/k/goal.key.pub holds a key that is not Ed25519", "--root-public-key: "],
  ["/k/other holds a key that is not Ed25519.", "--root-public-key: "],
  ["TLS cannot be served with /k/a.crt, /k/a.key: why", "--tls-cert, --tls-key or --client-key: "],
  ["--tls-cert /k/a.crt: why", ""],
  ["/k/goal.keys is none of them", ""],
  ["nor is /other/k/goal.key", ""],
  ["/data is no file", ""],
  ["the set of /token is a parent's", "--token-file: "],
] as const) {
  test(`"${message}" is said ${expected === "" ? "as it is" : `with ${expected}`}`, () => {
    const given = {
      "--goal-key <file>": "/k/goal.key",
      "--root-public-key <files>": ["/k/goal.key.pub", "/k/other"],
      "--tls-cert <file>": "/k/a.crt",
      "--tls-key <file>": "/k/a.key",
      "--client-key <file[@end]>": { file: "/k/a.key" },
      "--data-dir <directory>": "/data",
      "--none <file>": undefined,
    };
    const parent = commandOf({ "--token-file <file>": "/token" });
    assert.is(withOptions(message, { ...commandOf(given), parent }), `${expected}${message}`);
  });
}

for (const [code, caFile, expected] of [
  ["SELF_SIGNED_CERT_IN_CHAIN", "ca.crt", /nats:4222 .* --nats-ca ca\.crt did not sign .*: name/],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", undefined, /nats:4222 .*not trusted .*--nats-ca/],
  ["CERT_HAS_EXPIRED", "ca.crt", /nats:4222 .*has ended/],
  ["SERVER_OPT_NA", "ca.crt", /nats:4222 offers no TLS.*--nats-ca ca\.crt/],
] as const) {
  test(`a server refused for ${code}`, () => {
    const error = Object.assign(new Error("why"), { code });
    const line = explainUntrusted(error, { servers: ["nats:4222"], caFile }) ?? "";
    assert.match(line, expected);
    assert.not.match(line, /\n/);
  });
}

test("a server that is away is not refused", () => {
  const error = Object.assign(new Error("why"), { code: "CONNECTION_REFUSED" });
  assert.is(explainUntrusted(error, { servers: ["nats"], caFile: "ca.crt" }), undefined);
  assert.is(explainUntrusted(new Error("why"), { servers: [], caFile: undefined }), undefined);
});

test.run();
