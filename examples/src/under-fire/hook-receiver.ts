import { createHmac, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { DeliveryFact } from "./facts.js";
import type { Random } from "./random.js";

/** Somebody who is told of deployments, and does not always take it. */
export interface HookReceiver {
  url: string;
  /** All that came, in order, taken or not. */
  readonly deliveries: readonly DeliveryFact[];
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 512 * 1024;
/** One in so many is answered with 503. */
const REFUSED_ONE_IN = 5;
/** Between what a signature says of the time and the clock. */
const MAX_SKEW_S = 60;

/** @param secret - By which the coordinators sign. */
export async function startHookReceiver(secret: string, random: Random): Promise<HookReceiver> {
  const deliveries: DeliveryFact[] = [];
  const server = createServer((request, response) => {
    bodyOf(request).then(
      (body) => {
        const signature = String(request.headers["slipway-signature"] ?? "");
        const isTaken = random.integer(1, REFUSED_ONE_IN) > 1;
        deliveries.push({
          ...readNotification(body),
          body,
          isSigned: isSignedBy(secret, signature, body, Date.now() / 1_000),
          isTaken,
        });
        response.writeHead(isTaken ? 204 : 503).end();
      },
      // Whoever was killed while it spoke says it again.
      () => response.destroy(),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/deployments`,
    deliveries,
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Whether the header fits, as a receiver checks it: "t=SECONDS,v1=HMAC-SHA256 of t.body". */
export function isSignedBy(secret: string, header: string, body: string, nowS: number): boolean {
  const [, time, mac] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(header) ?? [];
  if (time === undefined || mac === undefined) return false;
  if (Math.abs(nowS - Number(time)) > MAX_SKEW_S) return false;
  const own = createHmac("sha256", secret).update(`${time}.${body}`).digest();
  return timingSafeEqual(own, Buffer.from(mac, "hex"));
}

/** What a body says; empty words where it says nothing. */
function readNotification(body: string): Pick<DeliveryFact, "id" | "deploymentId" | "state"> {
  try {
    const said = JSON.parse(body) as {
      id?: string;
      deployment?: { id?: string; state?: string };
    };
    const state = (said.deployment?.state ?? "").replace(/^DEPLOYMENT_STATE_/, "");
    return { id: said.id ?? "", deploymentId: said.deployment?.id ?? "", state };
  } catch {
    return { id: "", deploymentId: "", state: "" };
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    parts.push(part);
    bytes += part.length;
    if (bytes > MAX_BODY_BYTES) throw new Error("a notification is too large");
  }
  return Buffer.concat(parts).toString();
}
