import { ERROR_HEADER } from "@slipway/proto";
import { headers, type Msg } from "nats";

/** Answers a request by saying what is wrong with it, or with what was asked for. */
export function answerError(message: Msg, text: string): void {
  const told = headers();
  told.set(ERROR_HEADER, text.replaceAll(/[\r\n]+/g, " "));
  message.respond(undefined, { headers: told });
}
