import { NAME_PATTERN } from "@slipway/proto";
import { invalidArgument } from "./errors.js";

/** Collects what is wrong with a request, so that a caller learns of everything at once. */
export class Violations {
  readonly #found: { field: string; description: string }[] = [];

  add(field: string, description: string): void {
    this.#found.push({ field, description });
  }

  /** Adds the description unless the condition holds. Answers the condition. */
  check(condition: boolean, field: string, description: string): boolean {
    if (!condition) this.add(field, description);
    return condition;
  }

  name(field: string, value: string): void {
    const description = "must be 1 to 63 lower-case letters, digits and inner hyphens";
    this.check(NAME_PATTERN.test(value), field, value === "" ? "is missing" : description);
  }

  uuid(field: string, value: string): void {
    const description = value === "" ? "is missing" : "must be a UUID";
    this.check(UUID_PATTERN.test(value), field, description);
  }

  commitSha(field: string, value: string): void {
    const description =
      value === ""
        ? "is missing"
        : "must be the full SHA in lower case: 40 hexadecimal digits (SHA-1) or 64 (SHA-256)";
    this.check(COMMIT_SHA_PATTERN.test(value), field, description);
  }

  /** Text for people: bounded and without control characters. Empty is allowed. */
  text(field: string, value: string, maxLength: number): void {
    this.check(value.length <= maxLength, field, `must have at most ${maxLength} characters`);
    this.check(!hasControlCharacters(value), field, "must not contain control characters");
  }

  /** A time that every part of the system can hold: of the years 1970 to 9999. */
  time(field: string, value: Date): void {
    const ms = value.getTime();
    this.check(ms >= 0 && ms < MAX_TIME, field, "must be a time of the years 1970 to 9999");
  }

  get found(): readonly { field: string; description: string }[] {
    return this.#found;
  }

  /** @throws DomainError INVALID_ARGUMENT if anything is wrong. */
  throwIfAny(): void {
    if (this.#found.length > 0) throw invalidArgument(this.#found);
  }
}

const MAX_TIME = Date.UTC(10_000);
export const UUID_PATTERN = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const COMMIT_SHA_PATTERN = /^([0-9a-f]{40}|[0-9a-f]{64})$/;

/** Whether there is a C0 or C1 control character or DEL, tabs and line ends among them. */
export function hasControlCharacters(text: string): boolean {
  return /\p{Cc}/u.test(text);
}
