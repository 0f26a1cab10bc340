import type { Host, HostStatus, ListHostsRequest, ListHostsResponse } from "@slipway/proto";
import { getApplication } from "../../application/store.js";
import type { Context } from "../../context.js";
import { notFound } from "../../errors.js";
import { newestDeployment } from "../../rollout/deployment-store.js";
import type { CallInfo } from "../handler.js";
import * as enrolment from "../../status/enrolment.js";
import { answersWithin } from "../../status/answers-within.js";
import { QUERY_TIMEOUT_MS, queryHosts } from "../../status/host-query.js";
import { knownRegions } from "../../status/regions.js";
import { Violations } from "../../validate.js";
import { decodePageToken, nextPageToken, pageSize } from "../page.js";

const SILENT_AFTER_MS = 30_000;
const POSITION_PATTERN = /^[a-z0-9-]{1,63}\/[a-z0-9-]{1,63}$/;

/** Regions' answers, undefined for those that did not answer in time. */
type Answers = ReadonlyMap<string, ReadonlyMap<string, HostStatus> | undefined>;

export async function listHosts(
  context: Context,
  request: ListHostsRequest,
  { identity }: Pick<CallInfo, "identity">,
): Promise<ListHostsResponse> {
  const { region, application, pageToken } = request;
  const found = new Violations();
  if (region !== "") found.name("region", region);
  if (application !== "") found.name("application", application);
  found.throwIfAny();
  const limit = pageSize(request.pageSize, { byDefault: 100, most: 1_000 });
  const token = decodePageToken(pageToken, POSITION_PATTERN)?.split("/");
  const page = await enrolment.listHosts(context.db, {
    limit,
    ...(region === "" ? {} : { region }),
    ...(application === "" ? {} : { selection: await selectionOf(context, application) }),
    ...(token === undefined ? {} : { after: { region: token[0] ?? "", hostId: token[1] ?? "" } }),
  });
  if (page.length === 0 && region !== "" && !(await knownRegions(context)).names.has(region)) {
    throw notFound("region", region);
  }
  // Asked meanwhile, and not once nobody has answered: the server may be back by then.
  const [answers, isNatsThere] = await Promise.all([
    ask(context, page),
    page.length === 0 || answersWithin(context.nats, QUERY_TIMEOUT_MS),
  ]);
  const isUnheard = !isNatsThere && [...answers.values()].every((hosts) => hosts === undefined);
  return {
    hosts: page.map((stored) =>
      withinLimits(toHost(stored, answers, context.clock.now()), identity.applications),
    ),
    nextPageToken: nextPageToken(page, limit, ({ host }) => `${host.region}/${host.hostId}`),
    unreachableRegions: [...answers].flatMap(([name, hosts]) => (hosts === undefined ? name : [])),
    unheardSince:
      context.status.unheardSince ??
      (isUnheard ? new Date(context.status.hearing.lastAt) : undefined),
    natsAwaySince: Object.fromEntries(
      [...answers.keys()].flatMap((name) => {
        const { natsAwaySince } = context.status.region(name);
        return natsAwaySince === undefined ? [] : [[name, natsAwaySince] as const];
      }),
    ),
  };
}

/** The hosts that the newest deployment is for; before any, those of the present revision. */
async function selectionOf({ db }: Context, application: string): Promise<enrolment.HostSelection> {
  const newest = await newestDeployment(db, application);
  if (newest !== undefined) return newest.goal;
  const { spec } = await getApplication(db, application, 0);
  return { regions: spec?.regions ?? [], selector: spec?.selector ?? {} };
}

/** Asks each region of the page once. */
async function ask(
  { nats, log }: Context,
  page: readonly enrolment.StoredHost[],
): Promise<Answers> {
  const byRegion = new Map<string, string[]>();
  for (const { host } of page) {
    const ids = byRegion.get(host.region) ?? [];
    byRegion.set(host.region, ids);
    ids.push(host.hostId);
  }
  const asked = [...byRegion].map(
    async ([region, ids]) => [region, await queryHosts(nats, log, region, ids)] as const,
  );
  return new Map(await Promise.all(asked));
}

/** Without what a limited token may not see: which other applications run there, and how. */
function withinLimits(host: Host, applications: readonly string[]): Host {
  if (applications.length === 0 || host.status === undefined) return host;
  const theirs = host.status.applications.filter((each) => applications.includes(each.application));
  return { ...host, status: { ...host.status, applications: theirs } };
}

function toHost({ host, enrolTime }: enrolment.StoredHost, answers: Answers, now: number): Host {
  const answer = answers.get(host.region);
  const status = answer?.get(host.hostId);
  const heardAt = status?.time?.getTime() ?? 0;
  const silent = answer !== undefined && now - heardAt > SILENT_AFTER_MS;
  return { enrolment: host, status, silent, enrolTime };
}
