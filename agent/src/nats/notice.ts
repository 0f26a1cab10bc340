import { NOTICE_HEADER } from "@slipway/proto";
import { headers, type NatsConnection } from "nats";

/** Says something to an agent unasked, under a subject that it answers questions on. */
export function sendNotice(
  connection: NatsConnection,
  { subject, kind, content }: { subject: string; kind: string; content: Uint8Array },
): void {
  const told = headers();
  told.set(NOTICE_HEADER, kind);
  connection.publish(subject, content, { headers: told });
}
