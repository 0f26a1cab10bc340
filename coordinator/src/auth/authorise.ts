import { HUMAN_ROLES, type HumanRole, type Identity } from "./identity.js";
import { permissionDenied } from "../errors.js";
import type { Access, ApplicationLookUp, Rule } from "./rules.js";

/**
 * Whether the caller may call a method on what the request names. Undefined, or a promise of it: yes.
 * The promise is only of requests that name something by id, from a token that is limited.
 * @throws DomainError PERMISSION_DENIED: ROLE_REQUIRED or OUT_OF_SCOPE.
 */
export function authorise<Request>(
  rule: Rule<Request>,
  identity: Identity,
  request: Request,
  find: ApplicationLookUp,
): Promise<void> | undefined {
  checkRole(rule.access, identity);
  const { scope } = rule;
  if (scope.kind === "region") checkRegions(identity, scope.of(request));
  if (identity.applications.length === 0) return undefined;
  if (scope.kind === "fleet") {
    throw outOfScope(identity, "the fleet as a whole is not among them");
  }
  if (scope.kind === "filter") {
    const name = scope.of(request);
    if (name === "") throw outOfScope(identity, "filter by one of them to list what is there");
    checkApplications(identity, [name]);
  }
  if (scope.kind !== "application") return undefined;
  const named = scope.of(request, find);
  if (named instanceof Promise) return named.then((found) => checkApplications(identity, found));
  checkApplications(identity, named);
  return undefined;
}

/** Whether a role may do what another one may. Pure. */
export function includes(role: Identity["role"], access: Access): boolean {
  if (role === "anyone" || access === "open") return true;
  if (role === "nobody") return false;
  if (access === "any" || role === access) return true;
  const asked = HUMAN_ROLES.indexOf(access as HumanRole);
  return asked >= 0 && HUMAN_ROLES.indexOf(role as HumanRole) > asked;
}

function checkRole(access: Access, { role, name }: Identity): void {
  if (includes(role, access)) return;
  throw permissionDenied(
    "ROLE_REQUIRED",
    `this needs a token of role ${access}, and token ${name} is of role ${role}`,
  );
}

function checkRegions({ name, region }: Identity, named: readonly string[]): void {
  if (region === "" || named.every((each) => each === region)) return;
  const message = `token ${name} is of region ${region} and may speak of no other`;
  throw permissionDenied("OUT_OF_SCOPE", message);
}

/** What is not there and what is another application's get the same answer. */
function checkApplications(identity: Identity, named: readonly string[]): void {
  if (named.length > 0 && named.every((each) => identity.applications.includes(each))) return;
  throw outOfScope(identity, "what was asked for is not theirs");
}

function outOfScope({ name, applications }: Identity, why: string): Error {
  const some = applications.slice(0, 5).join(", ");
  const rest = applications.length > 5 ? ` and ${applications.length - 5} more` : "";
  const message = `token ${name} is limited to applications (${some}${rest}): ${why}`;
  return permissionDenied("OUT_OF_SCOPE", message);
}
