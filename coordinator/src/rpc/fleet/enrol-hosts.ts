import {
  HOST_LABEL_PATTERN,
  HOST_LABEL_VALUE_MAX,
  HOST_MAX_LABELS,
  FleetServiceService,
  type EnrolHostsRequest,
  type EnrolHostsResponse,
} from "@slipway/proto";
import type { Context } from "../../context.js";
import { permissionDenied } from "../../errors.js";
import type { CallInfo } from "../handler.js";
import * as enrolment from "../../status/enrolment.js";
import { Violations } from "../../validate.js";

const MAX_HOSTS = 1_000;

export async function enrolHosts(
  context: Context,
  { hosts: asked }: EnrolHostsRequest,
  call: Pick<CallInfo, "identity" | "metadata" | "peer">,
): Promise<EnrolHostsResponse> {
  check(asked);
  const { db, log, stats } = context;
  const hosts = await withoutOtherRegions(context, asked, call);
  const refused = await enrolment.enrolHosts(db, hosts);
  stats.enrolments.add("skipped", refused.length);
  if (refused.length > 0) {
    const some = { count: refused.length, hostIds: refused.slice(0, 20) };
    log.warn(some, "hosts that were decommissioned are there again, and are not enrolled");
  }
  return { decommissionedHostIds: refused };
}

/** @throws DomainError INVALID_ARGUMENT */
function check(hosts: EnrolHostsRequest["hosts"]): void {
  const found = new Violations();
  found.check(hosts.length <= MAX_HOSTS, "hosts", `must be at most ${MAX_HOSTS}`);
  found.throwIfAny();
  const seen = new Set<string>();
  for (const [index, { hostId, region, cell, labels }] of hosts.entries()) {
    const field = `hosts[${index}]`;
    found.name(`${field}.host_id`, hostId);
    found.name(`${field}.region`, region);
    // A region that is one mesh has no cells.
    if (cell !== "") found.name(`${field}.cell`, cell);
    found.check(!seen.has(hostId), `${field}.host_id`, "is there twice");
    seen.add(hostId);
    const entries = Object.entries(labels);
    found.check(
      entries.length <= HOST_MAX_LABELS,
      `${field}.labels`,
      `must be at most ${HOST_MAX_LABELS}`,
    );
    for (const [label, value] of entries.slice(0, HOST_MAX_LABELS)) {
      const at = `${field}.labels[${JSON.stringify(label.slice(0, 100))}]`;
      const description = "must be a label of letters, digits, dots, slashes and hyphens";
      found.check(HOST_LABEL_PATTERN.test(label), at, description);
      found.text(at, value, HOST_LABEL_VALUE_MAX);
    }
  }
  found.throwIfAny();
}

/**
 * A token of one region takes no host from another: those are left out and audited, and the rest is
 * enrolled, so that one name that is taken costs the region nothing else.
 */
async function withoutOtherRegions(
  { db, log, stats, authenticator }: Context,
  hosts: EnrolHostsRequest["hosts"],
  { identity, metadata, peer }: Pick<CallInfo, "identity" | "metadata" | "peer">,
): Promise<EnrolHostsRequest["hosts"]> {
  if (identity.region === "") return hosts;
  const others = await enrolment.hostsOfOtherRegions(db, hosts);
  if (others.size === 0) return hosts;
  const [example = ""] = others;
  const what = `host ${example} is another region's than ${identity.region}`;
  const more = others.size === 1 ? "" : `, and so are ${others.size - 1} others`;
  const error = permissionDenied("OUT_OF_SCOPE", `${what}${more}: not enrolled`);
  const request = { hosts };
  const method = FleetServiceService.enrolHosts.path;
  authenticator?.refused({ method, metadata, peer, request }, identity, error);
  stats.enrolments.add("other_region", others.size);
  const some = { count: others.size, hostIds: [...others].slice(0, 20), region: identity.region };
  log.warn(some, "hosts of other regions are not enrolled");
  return hosts.filter(({ hostId }) => !others.has(hostId));
}
