import { status, type Metadata } from "@grpc/grpc-js";
import { DomainError } from "../errors.js";
import { authorise } from "./authorise.js";
import { ANYONE, isAuthenticated, type Identity } from "./identity.js";
import type { ApplicationLookUp, Rule } from "./rules.js";

/** What is known of a call before its method runs. */
export interface Asked<Request> {
  /** Its path, such as "/slipway.v1.BuildService/SubmitBuild". */
  method: string;
  metadata: Metadata;
  /** Address of the caller. */
  peer: string;
  request: Request;
}

/** Finds out who calls. */
export interface Authenticator {
  /** Answers at once for those it knows. @throws DomainError UNAUTHENTICATED, RESOURCE_EXHAUSTED. */
  authenticate(asked: Asked<unknown>): Identity | Promise<Identity>;
  /** Who calls what is open. @throws DomainError RESOURCE_EXHAUSTED. */
  admitStranger(asked: Asked<unknown>): Identity;
  /** A caller of what is open did not prove who it is. */
  failed(asked: Asked<unknown>): void;
  /** A token was used for what it does not allow. */
  refused(asked: Asked<unknown>, identity: Identity, error: DomainError): void;
  /** Calls `end` when the token that a call came with ends. Answers how to stop that. */
  follow(identity: Identity, end: (error: Error) => void): () => void;
  /** Tokens that are in use here and end within so many milliseconds, those that end first in front. */
  ending(withinMs: number): EndingToken[];
}

/** A token that ends. */
export interface EndingToken {
  id: string;
  name: string;
  role: string;
  expireTime: Date;
}

interface AdmissionOptions {
  /** Undefined: whoever calls may do everything. */
  authenticator: Authenticator | undefined;
  find: ApplicationLookUp;
  /** Told of the peer of each call whose caller is known. */
  onAdmitted?: ((peer: string) => void) | undefined;
}

/** The door of every method: who calls, whether they may, and under which name. */
export class Admission {
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /**
   * Answers at once where nothing has to be looked up, which is nearly always.
   * @throws DomainError UNAUTHENTICATED, PERMISSION_DENIED, RESOURCE_EXHAUSTED.
   */
  admit<Request>(rule: Rule<Request>, asked: Asked<Request>): Identity | Promise<Identity> {
    const { authenticator } = this.#options;
    if (authenticator === undefined) {
      this.#options.onAdmitted?.(asked.peer);
      return ANYONE;
    }
    if (rule.access === "open") return authenticator.admitStranger(asked);
    const identity = authenticator.authenticate(asked);
    return identity instanceof Promise
      ? identity.then((found) => this.#authorise(rule, asked, found))
      : this.#authorise(rule, asked, identity);
  }

  /** Calls `end` when the caller's token ends before the call. Answers how to stop that. */
  follow(identity: Identity, end: (error: Error) => void): () => void {
    return this.#options.authenticator?.follow(identity, end) ?? (() => undefined);
  }

  /**
   * To be told of an error of a method, with whom it was that `admit` let in: some methods
   * authenticate their caller by themselves, or find only in what is said later that it is not
   * within the limits of its token.
   */
  failed(rule: Rule<never>, asked: Asked<unknown>, error: unknown, by: Identity | undefined): void {
    if (!(error instanceof DomainError)) return;
    const { authenticator } = this.#options;
    if (rule.access === "open") {
      if (error.code === status.UNAUTHENTICATED) authenticator?.failed(asked);
    } else if (by !== undefined && error.reason === "OUT_OF_SCOPE") {
      authenticator?.refused(asked, by, error);
    }
  }

  #authorise<Request>(
    rule: Rule<Request>,
    asked: Asked<Request>,
    identity: Identity,
  ): Identity | Promise<Identity> {
    const { request, peer } = asked;
    this.#options.onAdmitted?.(peer);
    try {
      const checking = authorise(rule, identity, request, this.#options.find);
      if (checking === undefined) return sign(rule, request, identity);
      return checking.then(
        () => sign(rule, request, identity),
        (error: unknown) => this.#refuse(asked, identity, error),
      );
    } catch (error) {
      return this.#refuse(asked, identity, error);
    }
  }

  #refuse(asked: Asked<unknown>, identity: Identity, error: unknown): never {
    if (error instanceof DomainError) {
      this.#options.authenticator?.refused(asked, identity, error);
    }
    throw error;
  }
}

/** Whatever a request says of who asks: it is who the token says. */
function sign<Request>({ author }: Rule<Request>, request: Request, identity: Identity): Identity {
  if (author !== undefined && isAuthenticated(identity)) {
    (request as Record<string, unknown>)[author] = identity.name;
  }
  return identity;
}
