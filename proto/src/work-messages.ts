import type {
  WorkRequest,
  WorkRequests_One,
  WorkResponse,
  WorkResponses_One,
} from "../gen/slipway/v1/builder.js";
import { WORK_MESSAGES_MAX } from "./names.js";

/** What a builder says after its hello. */
export type WorkSaying = NonNullable<WorkRequests_One["message"]>;
/** What a builder is told. */
export type WorkAnswer = NonNullable<WorkResponses_One["message"]>;

/** Each may come near the size that a message may have at most. */
const LARGE: ReadonlySet<string> = new Set<(WorkSaying | WorkAnswer)["$case"]>([
  "leased",
  "logs",
  "complete",
  "fail",
]);

/** How many of these, from the first, go in one message: as many as one may hold, and one large one. */
export function countTogether(messages: readonly (WorkSaying | WorkAnswer)[]): number {
  let large = 0;
  for (const [index, { $case }] of messages.entries()) {
    if (LARGE.has($case)) large += 1;
    if (large > 1 || index === WORK_MESSAGES_MAX) return index;
  }
  return messages.length;
}

/** One message of all. */
export function requestOf(sayings: readonly WorkSaying[]): WorkRequest {
  if (sayings.length === 1) return { message: sayings[0] };
  const requests = sayings.map((message) => ({ message }));
  return { message: { $case: "several", value: { requests } } };
}

/** One message of all. */
export function responseOf(answers: readonly WorkAnswer[]): WorkResponse {
  if (answers.length === 1) return { message: answers[0] };
  const responses = answers.map((message) => ({ message }));
  return { message: { $case: "several", value: { responses } } };
}

/** What a message says; undefined for what is missing, or of a kind that is not known. */
export function answersIn({ message }: WorkResponse): (WorkAnswer | undefined)[] {
  if (message?.$case !== "several") return [message];
  return message.value.responses.map((one) => one.message);
}
