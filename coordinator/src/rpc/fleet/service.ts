import { FleetServiceService, type FleetServiceServer } from "@slipway/proto";
import type { Handlers, ServiceEntry } from "../handler.js";
import { decommissionHost } from "./decommission-host.js";
import { enrolHosts } from "./enrol-hosts.js";
import { listEnrolledHosts } from "./list-enrolled-hosts.js";
import { listHosts } from "./list-hosts.js";
import { listRegions } from "./list-regions.js";
import { readHostLog } from "./read-host-log.js";

export function fleetService(handlers: Handlers): ServiceEntry {
  const implementation: FleetServiceServer = {
    listRegions: handlers.unary(listRegions),
    listHosts: handlers.unary(listHosts),
    enrolHosts: handlers.unary(enrolHosts),
    listEnrolledHosts: handlers.unary(listEnrolledHosts),
    decommissionHost: handlers.unary(decommissionHost),
    readHostLog: handlers.unary(readHostLog),
  };
  return { definition: FleetServiceService, implementation };
}
