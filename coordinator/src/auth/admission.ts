import type { Metadata } from "@grpc/grpc-js";
import { authorise } from "./authorise.js";
import { ANYONE, isAuthenticated, NOBODY, type Identity } from "./identity.js";
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
}

interface AdmissionOptions {
  /** Undefined: whoever calls may do everything. */
  authenticator: Authenticator | undefined;
  find: ApplicationLookUp;
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
    if (authenticator === undefined) return ANYONE;
    if (rule.access === "open") return NOBODY;
    const identity = authenticator.authenticate(asked);
    return identity instanceof Promise
      ? identity.then((found) => this.#authorise(rule, asked, found))
      : this.#authorise(rule, asked, identity);
  }

  #authorise<Request>(
    rule: Rule<Request>,
    { request }: Asked<Request>,
    identity: Identity,
  ): Identity | Promise<Identity> {
    const checking = authorise(rule, identity, request, this.#options.find);
    if (checking === undefined) return sign(rule, request, identity);
    return checking.then(() => sign(rule, request, identity));
  }
}

/** Whatever a request says of who asks: it is who the token says. */
function sign<Request>({ author }: Rule<Request>, request: Request, identity: Identity): Identity {
  if (author !== undefined && isAuthenticated(identity)) {
    (request as Record<string, unknown>)[author] = identity.name;
  }
  return identity;
}
