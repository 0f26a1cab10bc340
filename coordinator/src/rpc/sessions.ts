import type { Http2Server, ServerHttp2Session } from "node:http2";
import type { Server } from "@grpc/grpc-js";

/** A caller's calls at once, when somebody was let in over its connection: more wait on its side. */
const MAX_CALLS = 10_000;
/** Before. A caller that has more to ask asks it a round trip later. */
export const STRANGER_CALLS = 16;

/** The HTTP/2 sessions of a server's connections, by address and port of their peers. */
export interface Sessions {
  /** The peer of this session is known: it may have more calls at once. */
  trust(peer: string): void;
}

/**
 * Sessions begin with STRANGER_CALLS calls at once, which is what the server is to be made with. Call
 * it when the server's connection injector is made. grpc-js shows nobody its sessions.
 * @throws Error if it does not have them where it had them in 1.14.
 */
export function sessionsOf(server: Server): Sessions {
  const { http2Servers } = server as unknown as { http2Servers?: Map<Http2Server, unknown> };
  if (http2Servers === undefined || http2Servers.size === 0) {
    throw new Error("this version of grpc-js keeps its HTTP/2 servers elsewhere");
  }
  const sessions = new Map<string, ServerHttp2Session>();
  for (const http2 of http2Servers.keys()) {
    http2.on("session", (session) => {
      const { remoteAddress, remotePort } = session.socket;
      const peer = `${remoteAddress}:${remotePort}`;
      sessions.set(peer, session);
      session.on("close", () => {
        if (sessions.get(peer) === session) sessions.delete(peer);
      });
    });
  }
  return {
    trust(peer) {
      const session = sessions.get(peer);
      sessions.delete(peer);
      if (session === undefined || session.destroyed) return;
      session.settings({ maxConcurrentStreams: MAX_CALLS });
    },
  };
}
