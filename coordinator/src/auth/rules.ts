import type { HumanRole, ProcessRole } from "./identity.js";

/**
 * Who may call a method: a human role and those above it, a process's role, whoever has a valid token
 * ("any"), or everybody ("open").
 */
export type Access = HumanRole | ProcessRole | "any" | "open";

/** Finds the applications that something belongs to; none for what is not there. */
export interface ApplicationLookUp {
  ofBuild(id: string): Promise<readonly string[]>;
  ofDeployment(id: string): Promise<readonly string[]>;
  ofFreeze(id: string): Promise<readonly string[]>;
  ofArtifact(digest: string): Promise<readonly string[]>;
}

type Named = readonly string[];

/** What of a fleet a request touches, so that a token which is limited stays within its limits. */
export type Scope<Request> =
  /** No application's and no region's, or the method limits itself by the caller's identity. */
  | { kind: "free" }
  /** The whole fleet's: not for a token that is limited to applications. */
  | { kind: "fleet" }
  /** What the request names must be among the token's applications. */
  | { kind: "application"; of(request: Request, find: ApplicationLookUp): Named | Promise<Named> }
  /** A list: a token that is limited must name one of its applications. */
  | { kind: "filter"; of(request: Request): string }
  /** Every region that the request names must be the token's. */
  | { kind: "region"; of(request: Request): Named };

/** The fields by which requests say who asks. */
type AuthorField = "actor" | "creator" | "submitter";

/** Who may call a method, on what. Every method has one: see Handlers. */
export interface Rule<Request> {
  readonly access: Access;
  readonly scope: Scope<Request>;
  /** Where the request says who asks: the name of the caller's token takes its place. */
  readonly author?: Extract<keyof Request, AuthorField> | undefined;
}

type Human = <Request>(
  scope: Scope<Request>,
  author?: Extract<keyof Request, AuthorField>,
) => Rule<Request>;

export const viewer: Human = (scope, author) => ({ access: "viewer", scope, author });
export const deployer: Human = (scope, author) => ({ access: "deployer", scope, author });
export const admin: Human = (scope, author) => ({ access: "admin", scope, author });

/** A builder. Its session checks which one it says it is. */
export const BUILDER: Rule<unknown> = { access: "builder", scope: { kind: "free" } };
/** Who joins the fleet, with an enrolment token. The method checks what it says it is. */
export const ENROL: Rule<unknown> = { access: "enrol", scope: { kind: "free" } };
/** Whoever has a valid token. */
export const ANY_TOKEN: Rule<unknown> = { access: "any", scope: { kind: "free" } };
/**
 * Everybody: the method authenticates its caller by itself. When it throws UNAUTHENTICATED, that
 * counts as a failure of the caller's address.
 */
export const OPEN: Rule<unknown> = { access: "open", scope: { kind: "free" } };

/** A region agent, of every region that the request names. */
export function regionAgent<Request>(of: (request: Request) => string | Named): Rule<Request> {
  return { access: "region", scope: { kind: "region", of: (request) => [of(request)].flat() } };
}

export const free = { kind: "free" } as const;
export const fleet = { kind: "fleet" } as const;

/** The application of that name. */
export function application<Request>(of: (request: Request) => string): Scope<Request> {
  return { kind: "application", of: (request) => [of(request)] };
}

/** Those of the application that is filtered by. */
export function filter<Request>(of: (request: Request) => string): Scope<Request> {
  return { kind: "filter", of };
}

export function build<Request>(of: (request: Request) => string): Scope<Request> {
  return { kind: "application", of: (request, find) => find.ofBuild(of(request)) };
}

export function deployment<Request>(of: (request: Request) => string): Scope<Request> {
  return { kind: "application", of: (request, find) => find.ofDeployment(of(request)) };
}

export function freeze<Request>(of: (request: Request) => string): Scope<Request> {
  return { kind: "application", of: (request, find) => find.ofFreeze(of(request)) };
}

export function artifact<Request>(of: (request: Request) => string): Scope<Request> {
  return { kind: "application", of: (request, find) => find.ofArtifact(of(request)) };
}
