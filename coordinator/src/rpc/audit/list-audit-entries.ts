import type { AuditEntry, ListAuditEntriesRequest, ListAuditEntriesResponse } from "@slipway/proto";
import { getApplication } from "../../application/store.js";
import { listAudit, type AuditPosition } from "../../audit/list.js";
import type { Context } from "../../context.js";
import { UUID_PATTERN, Violations } from "../../validate.js";
import { decodePageToken, nextPageToken, pageSize } from "../page.js";

const ACTION_PATTERN = /^[a-z][a-z_]*(\.[a-z][a-z_]*)?$/;
const POSITION_PATTERN = new RegExp(`^\\d{1,15} ${UUID_PATTERN.source.slice(1)}`);

export async function listAuditEntries(
  { db }: Context,
  request: ListAuditEntriesRequest,
): Promise<ListAuditEntriesResponse> {
  const { application, deploymentId, actor, action, after, before } = request;
  const found = new Violations();
  if (application !== "") found.name("application", application);
  if (deploymentId !== "") found.uuid("deployment_id", deploymentId);
  found.text("actor", actor, 255);
  const isAction = action === "" || (action.length <= 100 && ACTION_PATTERN.test(action));
  found.check(isAction, "action", "must be like deployment.pause, or the part before its dot");
  if (after !== undefined) found.time("after", after);
  if (before !== undefined) found.time("before", before);
  if (after !== undefined && before !== undefined) {
    found.check(after < before, "before", "must be later than after");
  }
  found.throwIfAny();
  const limit = pageSize(request.pageSize, { byDefault: 100, most: 1_000 });
  // Of a name that nobody ever had, "nothing was done" would be believed.
  if (application !== "") await getApplication(db, application, 0);
  const entries = await listAudit(
    db,
    {
      application: application === "" ? undefined : application,
      deploymentId: deploymentId === "" ? undefined : deploymentId,
      actor: actor === "" ? undefined : actor,
      action: action === "" ? undefined : action,
      after,
      before,
      position: positionOf(request.pageToken),
    },
    limit,
  );
  return { entries, nextPageToken: nextPageToken(entries, limit, positionAfter) };
}

function positionOf(pageToken: string): AuditPosition | undefined {
  const [time, id] = decodePageToken(pageToken, POSITION_PATTERN)?.split(" ") ?? [];
  return time === undefined || id === undefined ? undefined : { time: new Date(Number(time)), id };
}

const positionAfter = ({ time, id }: AuditEntry): string => `${time?.getTime() ?? 0} ${id}`;
