import { readFile, stat } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { text } from "node:stream/consumers";
import process from "node:process";
import type { WriteStream } from "node:tty";
import { checkCertificateFiles, checkKeyPair, checkSecretFiles } from "@slipway/proto/files";
import { CommanderError } from "commander";
import { createClient, type Client } from "../client.js";
import type { ClientOptions, TlsOptions } from "../options.js";
import { APPLICATION_FILE_MAX_BYTES } from "./application-file.js";
import { EXIT, exitCodeOf, UsageError } from "./exit-code.js";
import { createProgram, parseTimeout, type GlobalOptions } from "./program.js";
import { errorJson, errorText } from "./render/error.js";
import { tokenEndText } from "./render/tokens.js";
import type { Run } from "./run.js";
import { lookOf, note, retryText, type Output, type Session } from "./session.js";
import { jsonText } from "./text.js";

const { env } = process;
// A coordinator named by its address is fine; Node would warn of that with every command.
process.noDeprecation = true;
const interrupt = new AbortController();
const stdout = toOutput(process.stdout);
const stderr = toOutput(process.stderr);
let client: Client | undefined;
let exitCode: number = EXIT.ok;

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (interrupt.signal.aborted) process.exit(EXIT.interrupted);
    interrupt.abort(new Error("interrupted"));
  });
}
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    // The reader has gone (| head): that is its right, and nobody is left to tell.
    process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.failed);
  });
}

const run: Run =
  (handler) =>
  async (...args) => {
    const session = await openSession(program.opts<GlobalOptions>());
    exitCode = (await handler(session, ...args)) ?? EXIT.ok;
  };
const program = createProgram(
  packageVersion(),
  {
    coordinator: env["SLIPWAY_COORDINATOR"],
    ca: env["SLIPWAY_CA"],
    tokenFile: env["SLIPWAY_TOKEN_FILE"],
  },
  {
    writeOut: (out) => void process.stdout.write(out),
    writeErr: (out) => void process.stderr.write(out),
  },
  run,
);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  } else if (interrupt.signal.aborted) {
    exitCode = EXIT.interrupted;
  } else {
    const look = { ...lookOf({ stdout, now: Date.now }), colour: stderr.colour };
    const { json } = program.opts<GlobalOptions>();
    await stderr.write(json === true ? `${jsonText(errorJson(error))}\n` : errorText(error, look));
    exitCode = exitCodeOf(error);
  }
} finally {
  client?.close();
}
process.exitCode = exitCode;

function packageVersion(): string {
  const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

async function openSession(options: GlobalOptions): Promise<Session> {
  const session: Omit<Session, "client"> = {
    json: options.json === true,
    stdout,
    stderr,
    signal: interrupt.signal,
    user: userName(),
    now: Date.now,
    readFile: readInput,
    onRetry: (retry) => {
      // Once for each outage; a single failure is nothing to speak of.
      if (retry.failures === 2 && options.json !== true) void note(session, retryText(retry));
    },
  };
  let isWarned = false;
  const onTokenExpireTime = (expireTime: Date): void => {
    const text = tokenEndText(expireTime, session.now());
    if (isWarned || text === "") return;
    isWarned = true;
    void note(session, options.json === true ? jsonText({ warning: text }) : `warning: ${text}`);
  };
  await checkFiles(options, session);
  try {
    const token = await tokenFrom(options.tokenFile);
    client = createClient({
      coordinator: options.coordinator.split(",").map((address) => address.trim()),
      ...timeoutOption(options.timeout, env["SLIPWAY_TIMEOUT"]),
      onRetry: (retry) => session.onRetry(retry),
      onTokenExpireTime,
      ...(token === undefined ? {} : { token }),
      ...(await tlsOption(options)),
    });
  } catch (error) {
    throw error instanceof TypeError ? new UsageError(error.message) : error;
  }
  return Object.assign(session, { client });
}

/** Standard input is nobody else's. */
function file(path: string | undefined): string | undefined {
  return path === "-" ? undefined : path;
}

/** What others may read of the caller's, and what is no certificate. @throws UsageError */
async function checkFiles(
  { tokenFile, clientKey, ca, clientCert }: GlobalOptions,
  session: Omit<Session, "client">,
): Promise<void> {
  const secrets = { "--token-file": file(tokenFile), "--client-key": file(clientKey) };
  let warnings: string[];
  try {
    warnings = checkSecretFiles(secrets);
    const shown = clientKey === undefined ? undefined : file(clientCert);
    checkCertificateFiles({ "--ca": file(ca), "--client-cert": shown });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  for (const warning of warnings) {
    await note(session, session.json ? jsonText({ warning }) : `Warning: ${warning}`);
  }
}

/** The file's, or the environment's. Never said in an error. */
async function tokenFrom(file: string | undefined): Promise<string | undefined> {
  const text = file === undefined ? env["SLIPWAY_TOKEN"] : await readInput(file);
  const token = text?.trim();
  if (token === undefined || (token === "" && file === undefined)) return undefined;
  if (/^[\x21-\x7e]{1,4096}$/.test(token)) return token;
  throw new UsageError(`${file ?? "SLIPWAY_TOKEN"} holds no token`);
}

async function pem(file: string): Promise<Buffer> {
  return Buffer.from(await readInput(file));
}

async function tlsOption(options: GlobalOptions): Promise<Pick<ClientOptions, "tls">> {
  const { ca, clientCert, clientKey, insecure } = options;
  if ((clientCert === undefined) !== (clientKey === undefined)) {
    throw new UsageError("--client-cert and --client-key go together");
  }
  if (ca === undefined && clientCert === undefined) return insecure === true ? { tls: false } : {};
  return {
    tls: {
      ...(ca === undefined ? {} : { rootCertificates: await pem(ca) }),
      ...(clientCert === undefined || clientKey === undefined
        ? {}
        : await readPair(clientCert, clientKey)),
    },
  };
}

/** @throws UsageError */
async function readPair(certFile: string, keyFile: string): Promise<TlsOptions> {
  const pair = { certificateChain: await pem(certFile), privateKey: await pem(keyFile) };
  try {
    checkKeyPair(pair.certificateChain, pair.privateKey);
  } catch (error) {
    const reason = (error as Error).message;
    throw new UsageError(`--client-cert ${certFile}, --client-key ${keyFile}: ${reason}`);
  }
  return pair;
}

function timeoutOption(option: number | undefined, byEnvironment: string | undefined): object {
  if (option !== undefined) return { timeoutMs: option };
  if (byEnvironment === undefined) return {};
  try {
    return { timeoutMs: parseTimeout(byEnvironment) };
  } catch (error) {
    throw new UsageError(`SLIPWAY_TIMEOUT: ${(error as Error).message}`);
  }
}

async function readInput(path: string): Promise<string> {
  try {
    if (path === "-") return await text(process.stdin);
    const { size } = await stat(path);
    if (size > APPLICATION_FILE_MAX_BYTES) throw new Error("it is larger than 1 MiB");
    return await readFile(path, "utf8");
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${(error as Error).message}`);
  }
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A user id without an entry in the system's list, as in some containers.
    return env["USER"] ?? "";
  }
}

function toOutput(stream: WriteStream): Output {
  const isTerminal = stream.isTTY ? env["TERM"] !== "dumb" : false;
  const noColour = (env["NO_COLOR"] ?? "") !== "";
  return {
    isTerminal,
    colour: isTerminal && !noColour,
    columns: () => (stream.isTTY ? Math.max(stream.columns || 80, 20) : Number.POSITIVE_INFINITY),
    rows: () => (stream.isTTY ? Math.max(stream.rows || 24, 2) : Number.POSITIVE_INFINITY),
    write: (out) =>
      new Promise((resolve) => {
        if (stream.write(out)) resolve();
        else stream.once("drain", resolve);
      }),
  };
}
