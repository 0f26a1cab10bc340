import {
  ListHostsRequest,
  ListRegionsRequest,
  type Host,
  type Region,
  FleetServiceService,
} from "@slipway/proto";
import type { Caller } from "./caller.js";
import type { CallOptions } from "./options.js";
import { everyItem, type Page, type PageRequest } from "./pages.js";

/** Which hosts to list; everything left out takes all. */
export interface HostFilter {
  region?: string;
  /** Only hosts that run this application, or should. */
  application?: string;
}

/** One page of hosts. */
export interface HostPage extends Page<Host> {
  /** Regions whose agents did not answer in time: their hosts have no status here. */
  unreachableRegions: string[];
}

/** Regions and hosts. */
export interface Fleet {
  regions(options?: CallOptions): Promise<Region[]>;
  /** All that fit, by region and id. A host without status could not be asked about. */
  hosts(filter?: HostFilter, options?: CallOptions): AsyncIterable<Host>;
  hostsPage(filter?: HostFilter & PageRequest, options?: CallOptions): Promise<HostPage>;
}

export function createFleet(caller: Caller): Fleet {
  const hostsPage: Fleet["hostsPage"] = async (filter = {}, options) => {
    const request = ListHostsRequest.fromPartial(filter);
    const { hosts, nextPageToken, unreachableRegions } = await caller.unary(
      FleetServiceService.listHosts,
      "idempotent",
      request,
      options,
    );
    return { items: hosts, nextPageToken, unreachableRegions };
  };
  return {
    regions: async (options) => {
      const request = ListRegionsRequest.fromPartial({});
      const { regions } = await caller.unary(
        FleetServiceService.listRegions,
        "idempotent",
        request,
        options,
      );
      return regions;
    },
    hosts: (filter, options) =>
      everyItem((pageToken) => hostsPage({ ...filter, pageToken }, options)),
    hostsPage,
  };
}
