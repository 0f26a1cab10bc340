import {
  countTogether,
  responseOf,
  type WorkAnswer,
  type WorkRequest,
  type WorkResponse,
} from "@slipway/proto";
import type { Context } from "../../context.js";
import type { CallInfo } from "../handler.js";
import { sayingsIn } from "./check-request.js";
import { Outbox } from "./outbox.js";
import { BuilderSession } from "./session.js";

const MAX_UNSENT = 2_000;
/** Messages of one builder that are worked on at once; no more are read meanwhile. */
const MAX_IN_PROGRESS = 256;

/** One builder's stream: its messages are worked on side by side, and answered when they are done. */
export async function* work(
  context: Context,
  requests: AsyncIterable<WorkRequest>,
  { signal, identity }: Pick<CallInfo, "signal" | "identity">,
): AsyncGenerator<WorkResponse> {
  const outbox = new Outbox<WorkAnswer>(MAX_UNSENT);
  const session = new BuilderSession(context, outbox, { signal, subject: identity.subject });
  void read(session, requests, outbox);
  try {
    const count = (answers: readonly WorkAnswer[]): number =>
      session.takesSeveral ? countTogether(answers) : 1;
    for await (const answers of outbox.read(signal, count)) yield responseOf(answers);
  } finally {
    await session.close();
  }
}

/** Never rejects: the outbox ends with what goes wrong, or when the builder has said all. */
async function read(
  session: BuilderSession,
  requests: AsyncIterable<WorkRequest>,
  outbox: Outbox<WorkAnswer>,
): Promise<void> {
  const inProgress = new Set<Promise<void>>();
  try {
    for await (const request of requests) {
      for (const saying of sayingsIn(request)) {
        const done: Promise<void> = session
          .handle(saying)
          .catch((error: unknown) => outbox.end(error))
          .finally(() => inProgress.delete(done));
        inProgress.add(done);
      }
      if (inProgress.size >= MAX_IN_PROGRESS) await Promise.race(inProgress);
    }
    await Promise.all(inProgress);
    outbox.end();
  } catch (error) {
    outbox.end(error);
  }
}
