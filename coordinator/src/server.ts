import { setTimeout as delay } from "node:timers/promises";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { GRPC_MAX_MESSAGE_BYTES } from "@slipway/proto";
import { Admission } from "./auth/admission.js";
import { createApplicationLookUp } from "./auth/application-look-up.js";
import type { Context } from "./context.js";
import type { ServerCertificates } from "./auth/server-certificates.js";
import { ActiveCalls } from "./rpc/calls.js";
import { Handlers } from "./rpc/handler.js";
import { Listener } from "./rpc/listener.js";
import { STRANGER_CALLS } from "./rpc/sessions.js";
import { acceptEncoded, createServices, requireRules } from "./rpc/services.js";
import { addStandardServices } from "./rpc/standard-services.js";

/** A listening gRPC server. */
export interface GrpcServer {
  /** HOST:PORT that it listens on. */
  address: string;
  /** Ends streams with UNAVAILABLE, lets calls finish for a bounded time. May be called twice. */
  stop(): Promise<void>;
}

// A caller behind a dead link is noticed within 30 s. Callers may ping every 5 s.
const OPTIONS = {
  "grpc.max_receive_message_length": GRPC_MAX_MESSAGE_BYTES,
  "grpc.max_send_message_length": GRPC_MAX_MESSAGE_BYTES,
  "grpc.keepalive_time_ms": 20_000,
  "grpc.keepalive_timeout_ms": 10_000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.http2.min_ping_interval_without_data_ms": 5_000,
  // Until somebody was let in over it.
  "grpc.max_concurrent_streams": STRANGER_CALLS,
};

/** Starts to listen with every service, reflection and health. */
export async function startServer(
  context: Context,
  certificates: ServerCertificates | undefined,
): Promise<GrpcServer> {
  const { config, log } = context;
  const server = new Server(OPTIONS);
  const calls = new ActiveCalls();
  const find = createApplicationLookUp(context.db);
  const { authenticator, stats } = context;
  const admission = new Admission({
    authenticator,
    find,
    onAdmitted: (peer) => listener.proved(peer),
  });
  const services = createServices(new Handlers(context, calls, admission));
  requireRules(services);
  for (const { definition, implementation } of services) {
    server.addService(acceptEncoded(definition), implementation);
  }
  const health = addStandardServices(server, admission, log);
  if (certificates !== undefined) stats.certificateExpireTime = () => certificates.expireTime;
  const security = certificates?.credentials ?? ServerCredentials.createInsecure();
  const limits = config.connections;
  const listener = new Listener({ server, credentials: security, limits, stats, log });
  const port = await listener.listen(config.listen);
  certificates?.start();
  const address = `${config.listen.host.includes(":") ? `[${config.listen.host}]` : config.listen.host}:${port}`;
  const { authentication } = config;
  log.info({ address, tls: certificates !== undefined, authentication }, "listening");

  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    health.notServing();
    listener.close();
    await certificates?.stop();
    calls.endStreams();
    const drained = new Promise<void>((resolve) => {
      server.tryShutdown((error) => {
        if (error !== undefined) log.warn({ err: error }, "server did not shut down cleanly");
        resolve();
      });
    });
    const timer = new AbortController();
    const late = delay(config.stopTimeoutMs, "late", { signal: timer.signal }).catch(() => "done");
    if ((await Promise.race([drained, late])) === "late") {
      log.warn({ calls: calls.size }, "ending calls that did not finish in time");
      calls.endAll();
      server.forceShutdown();
    }
    timer.abort();
  };
  return { address, stop: () => (stopped ??= stop()) };
}
