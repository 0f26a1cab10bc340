import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { durationToMs, type HealthCheck } from "@slipway/proto";
import { expand } from "./expand.js";
import { runCommand } from "./run-command.js";

/** A health check with its defaults and with every ${NAME} replaced. */
export interface ResolvedCheck {
  kind: CheckKind;
  intervalMs: number;
  timeoutMs: number;
  deadlineMs: number;
}

export type CheckKind =
  | { kind: "running" }
  | { kind: "http"; url: URL }
  | { kind: "tcp"; host: string; port: number }
  | { kind: "command"; command: readonly string[] };

const MIN_INTERVAL_MS = 50;

/**
 * @throws ExpansionError for an unknown ${NAME}, Error for a URL or address that is none.
 */
export function resolveCheck(
  check: HealthCheck | undefined,
  environment: Readonly<Record<string, string>>,
): ResolvedCheck {
  return {
    kind: resolveKind(check, environment),
    intervalMs: Math.max(MIN_INTERVAL_MS, durationToMs(check?.interval, 1_000)),
    timeoutMs: Math.max(1, durationToMs(check?.timeout, 2_000)),
    deadlineMs: durationToMs(check?.deadline, 30_000),
  };
}

function resolveKind(
  check: HealthCheck | undefined,
  environment: Readonly<Record<string, string>>,
): CheckKind {
  switch (check?.check?.$case) {
    case "httpUrl": {
      const url = new URL(expand(check.check.value, environment));
      if (!/^https?:$/.test(url.protocol)) throw new Error(`health check: ${url.href} is not http`);
      return { kind: "http", url };
    }
    case "tcpAddress": {
      const address = expand(check.check.value, environment);
      const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address);
      const port = Number(match?.[3]);
      const host = match?.[1] ?? match?.[2];
      if (host === undefined || port < 1 || port > 65_535) {
        throw new Error(`health check: ${address} is not host:port`);
      }
      return { kind: "tcp", host, port };
    }
    case "command": {
      const command = check.check.value.command.map((word) => expand(word, environment));
      if (command.length === 0) throw new Error("health check: the command is empty");
      return { kind: "command", command };
    }
    default:
      return { kind: "running" };
  }
}

/** Makes one check; the answer is undefined if healthy, else why not. Never rejects. */
export async function checkOnce(
  kind: Exclude<CheckKind, { kind: "running" }>,
  context: {
    folder: string;
    environment: Readonly<Record<string, string>>;
    timeoutMs: number;
    signal: AbortSignal;
  },
): Promise<string | undefined> {
  const timeout = AbortSignal.timeout(Math.ceil(context.timeoutMs));
  const signal = AbortSignal.any([timeout, context.signal]);
  const answer = await check(kind, context, signal);
  return answer !== undefined && timeout.aborted ? `no answer in ${context.timeoutMs} ms` : answer;
}

function check(
  kind: Exclude<CheckKind, { kind: "running" }>,
  context: { folder: string; environment: Readonly<Record<string, string>> },
  signal: AbortSignal,
): Promise<string | undefined> {
  switch (kind.kind) {
    case "http":
      return checkHttp(kind.url, signal);
    case "tcp":
      return checkTcp(kind.host, kind.port, signal);
    default:
      return runCommand(kind.command, { ...context, signal });
  }
}

function checkHttp(url: URL, signal: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = url.protocol === "https:" ? httpsRequest : httpRequest;
    const call = request(url, { agent: false, signal }, (response) => {
      response.on("error", () => {
        // Destroyed below, on purpose: only the status counts.
      });
      const status = response.statusCode ?? 0;
      resolve(status >= 200 && status < 400 ? undefined : `GET ${url.href}: status ${status}`);
      response.destroy();
    });
    call.on("error", (error) => resolve(`GET ${url.href}: ${error.message}`));
    call.end();
  });
}

function checkTcp(host: string, port: number, signal: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, signal });
    socket.on("error", (error) => resolve(`connect to ${host}:${port}: ${error.message}`));
    socket.once("connect", () => {
      resolve(undefined);
      socket.destroy();
    });
  });
}
