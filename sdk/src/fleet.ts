import {
  DecommissionHostRequest,
  ListHostsRequest,
  ListRegionsRequest,
  type Host,
  type Region,
  FleetServiceService,
} from "@slipway/proto";
import type { Caller } from "./caller.js";
import { readHostLog, type HostLogPart, type HostLogRequest } from "./host-log.js";
import type { CallOptions, WatchOptions } from "./options.js";
import { everyItem, type Page, type PageRequest } from "./pages.js";

/** Which hosts to list; everything left out takes all. */
export interface HostFilter {
  region?: string;
  /** Only hosts that run this application, or should. */
  application?: string;
}

/** One page of hosts. */
export interface HostPage extends Page<Host> {
  /**
   * Regions whose agents did not answer in time: their hosts have no status here. Says nothing of the
   * regions while `unheardSince` is there.
   */
  unreachableRegions: string[];
  /** As in RegionList: no host has a status then. */
  unheardSince: Date | undefined;
  /** Regions whose own NATS is away, by name, and since when: their hosts' silence is not the hosts'. */
  natsAwaySince: Record<string, Date>;
}

/** All regions, and how old what is said of them is. */
export interface RegionList {
  regions: Region[];
  /**
   * While the coordinator that answered does not reach the global NATS: since when it has heard nothing
   * of any region. What is said of them is what was last known, and `silent` says nothing.
   */
  unheardSince: Date | undefined;
}

/** Which host to take out of the fleet for good, and why. */
export interface DecommissionRequest {
  hostId: string;
  /** Who asks, for people to read. Default empty. */
  actor?: string;
  /** Why, for people to read. Default empty. */
  reason?: string;
}

/** Regions and hosts. */
export interface Fleet {
  regions(options?: CallOptions): Promise<Region[]>;
  /** The same, and whether it is known now. */
  regionList(options?: CallOptions): Promise<RegionList>;
  /** All that fit, by region and id. A host without status could not be asked about. */
  hosts(filter?: HostFilter, options?: CallOptions): AsyncIterable<Host>;
  hostsPage(filter?: HostFilter & PageRequest, options?: CallOptions): Promise<HostPage>;
  /**
   * Takes a host out of the fleet for good: it counts no more, its certificate is revoked, and it
   * cannot enrol again under its id. Not made again when its answer is lost.
   * @throws SlipwayError NOT_FOUND if it is not enrolled.
   */
  decommissionHost(request: DecommissionRequest, options?: CallOptions): Promise<void>;
  /**
   * What an application prints on a host, in parts: its end, or everything from a position; with
   * `follow` then what comes, looked for once a second, through outages of up to
   * `unavailableTimeoutMs`. Ends early by `break`, or by the signal, whose reason it throws.
   * @throws SlipwayError UNAVAILABLE if the host or its region does not answer.
   */
  readHostLog(request: HostLogRequest, options?: WatchOptions): AsyncIterable<HostLogPart>;
}

export function createFleet(caller: Caller): Fleet {
  const hostsPage: Fleet["hostsPage"] = async (filter = {}, options) => {
    const request = ListHostsRequest.fromPartial(filter);
    const { hosts, nextPageToken, unreachableRegions, unheardSince, natsAwaySince } =
      await caller.unary(FleetServiceService.listHosts, "idempotent", request, options);
    return { items: hosts, nextPageToken, unreachableRegions, unheardSince, natsAwaySince };
  };
  const regionList: Fleet["regionList"] = async (options) => {
    const request = ListRegionsRequest.fromPartial({});
    const { regions, unheardSince } = await caller.unary(
      FleetServiceService.listRegions,
      "idempotent",
      request,
      options,
    );
    return { regions, unheardSince };
  };
  return {
    regions: async (options) => (await regionList(options)).regions,
    regionList,
    hosts: (filter, options) =>
      everyItem((pageToken) => hostsPage({ ...filter, pageToken }, options)),
    hostsPage,
    decommissionHost: async (fields, options) => {
      await caller.unary(
        FleetServiceService.decommissionHost,
        "once",
        DecommissionHostRequest.fromPartial(fields),
        options,
      );
    },
    readHostLog: (request, options) => readHostLog(caller, request, options),
  };
}
