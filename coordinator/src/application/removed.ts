import { failedPrecondition } from "../errors.js";

/** @param what could be done with it if it were there: "build it". */
export function applicationRemoved(application: string, what: string): Error {
  return failedPrecondition(
    "APPLICATION_REMOVED",
    `application ${application} was removed; apply it again to ${what}`,
  );
}
