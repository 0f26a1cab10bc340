import type { AgentProcess, Host, HostApplicationStatus, Region } from "@slipway/proto";
import type { RegionList } from "../../fleet.js";
import { chosenApplications, type HostChoice } from "../host-choice.js";
import { agoText, bytesText, spanText } from "../quantities.js";
import { hostFailureText, phaseCell } from "./names.js";
import { ageLines } from "./hearing.js";
import type { Look } from "./style.js";
import { table, type Cell } from "./table.js";

/** An agent that said nothing for so long while another one did says nothing of now. */
const HEARD_WITHIN_MS = 15_000;

/** Regions, one a line, under what makes all of it old. */
export function regionTable({ regions, unheardSince }: RegionList, look: Look): string {
  const isHeard = unheardSince === undefined;
  const rows = regions.map((region): Cell[] => [
    region.name,
    String(region.enrolledHostCount),
    isHeard ? String(silentHosts(region)) : "",
    region.agents.map(({ agentId }) => agentId).join(", "),
    isHeard ? regionState(region, look) : { text: "not known now", colour: "yellow" },
  ]);
  const headings = ["REGION", "HOSTS", "SILENT", "AGENTS", "STATE"];
  return ageLines({ unheardSince }, look) + table(headings, rows, look);
}

/** Hosts, one line for each chosen application on each. */
export function hostTable(hosts: readonly Host[], choice: HostChoice, look: Look): string {
  const headings = ["HOST", "REGION", "CELL", "APPLICATION", "PHASE", "RUNS", "HEARD", "DETAIL"];
  return table(
    headings,
    hosts.flatMap((host) => hostRows(host, choice, look)),
    look,
  );
}

function hostRows(host: Host, choice: HostChoice, look: Look): Cell[][] {
  const { enrolment, status } = host;
  const name = [enrolment?.hostId ?? "", enrolment?.region ?? "", enrolment?.cell ?? ""];
  const heard = agoText(status?.time, look.now);
  const silent: Cell = { text: host.silent ? "silent" : "", colour: "red" };
  const running = chosenApplications(host, choice);
  const twins = status === undefined ? [] : status.twins;
  const several: Cell | undefined =
    twins.length === 0
      ? undefined
      : { text: `is several processes: ${processesText(twins)}`, colour: "red" };
  if (status === undefined || running.length === 0) {
    return [[...name, "", silent, "", heard, several ?? labels(enrolment?.labels ?? {})]];
  }
  return running.map((one) => [
    ...name,
    one.application,
    host.silent ? silent : phaseCell(one.phase),
    one.runningCommitSha.slice(0, 12),
    heard,
    several ?? detail(one),
  ]);
}

function detail(one: HostApplicationStatus): string {
  if (one.failure !== undefined) return hostFailureText(one.failure);
  if (one.goalStale) return "its goal is stale: no coordinator has renewed it in time";
  if (one.bytesTotal === 0 || one.bytesDone >= one.bytesTotal) return "";
  return `${bytesText(one.bytesDone)} of ${bytesText(one.bytesTotal)}`;
}

/** In the same order each time, whoever of them said it last. */
function processesText(processes: readonly AgentProcess[]): string {
  const places = processes.map(({ machine, address, pid }) => {
    const inside = [address, `process ${pid}`].filter((part) => part !== "").join(", ");
    return machine === "" ? "one of an earlier version" : `${machine} (${inside})`;
  });
  return places.sort().join(" and ");
}

function labels(map: Record<string, string>): string {
  return Object.entries(map)
    .map(([key, value]) => `${key}=${value}`)
    .join(" ");
}

/** Two agents of a region may count differently; the one that hears most of them is right. */
function silentHosts({ agents }: Region): number {
  const settled = agents.filter(({ warming }) => !warming);
  return settled.length === 0 ? 0 : Math.min(...settled.map(({ silentCount }) => silentCount));
}

function regionState(region: Region, look: Look): Cell {
  if (region.natsAwaySince !== undefined) {
    const lasting = spanText(look.now - region.natsAwaySince.getTime());
    return { text: `its NATS has been away for ${lasting}: no host is heard`, colour: "red" };
  }
  if (region.silent) return { text: "silent: no agent answers", colour: "red" };
  const twins = region.agents.find((agent) => agent.twins.length > 0);
  if (twins !== undefined) {
    const { agentId, process } = twins;
    const places = processesText([...(process === undefined ? [] : [process]), ...twins.twins]);
    return { text: `${agentId} is several processes: ${places}`, colour: "red" };
  }
  const hosts = Math.max(0, ...region.agents.map(({ twinHostCount }) => twinHostCount));
  if (hosts > 0) {
    const are = hosts === 1 ? "a host is" : `${hosts} hosts are`;
    return { text: `${are} several processes each: see slipway hosts`, colour: "red" };
  }
  const ahead = region.agents.flatMap((agent) => agent.ahead);
  if (ahead.length > 0) {
    // Each of its agents may say the same.
    const names = new Set(
      ahead.map(({ application, generation }) => `${application} at ${generation}`),
    );
    return { text: `hosts are ahead of the goals: ${[...names].join(", ")}`, colour: "red" };
  }
  const unserved = coordinatorText(region, look);
  if (unserved !== "") return { text: unserved, colour: "red" };
  const stale = Math.max(0, ...region.agents.map(({ staleGoalCount }) => staleGoalCount));
  if (stale > 0) {
    const goals = stale === 1 ? "a goal is" : `${stale} goals are`;
    return { text: `${goals} stale: no coordinator has renewed what should run`, colour: "red" };
  }
  if (region.agents.some(({ warming }) => warming)) {
    return { text: "warming: an agent just started", colour: "yellow" };
  }
  return { text: "ok", colour: "green" };
}

/** What agents that were heard of lately have to say of coordinators that they cannot work with. */
function coordinatorText({ agents }: Region, look: Look): string {
  const newest = Math.max(...agents.map(({ time }) => Number(time ?? 0)));
  return agents
    .filter(({ time }) => newest - Number(time ?? 0) <= HEARD_WITHIN_MS)
    .flatMap(({ agentId, coordinatorRefusedSince, coordinatorRefusal, coordinatorAwaySince }) => {
      if (coordinatorRefusedSince !== undefined) {
        const lasting = spanText(look.now - coordinatorRefusedSince.getTime());
        return `${agentId} has not been let in by coordinators for ${lasting}: ${coordinatorRefusal}`;
      }
      if (coordinatorAwaySince === undefined) return [];
      const lasting = spanText(look.now - coordinatorAwaySince.getTime());
      return `${agentId} has reached none of its coordinators for ${lasting}`;
    })
    .join("; ");
}
