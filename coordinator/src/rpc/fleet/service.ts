import { FleetServiceService, type FleetServiceServer } from "@slipway/proto";
import { admin, application, filter, fleet, free, regionAgent, viewer } from "../../auth/rules.js";
import type { Handlers, ServiceEntry } from "../handler.js";
import { decommissionHost } from "./decommission-host.js";
import { enrolHosts } from "./enrol-hosts.js";
import { listEnrolledHosts } from "./list-enrolled-hosts.js";
import { listHosts } from "./list-hosts.js";
import { listRegions } from "./list-regions.js";
import { readHostLog } from "./read-host-log.js";

export function fleetService(handlers: Handlers): ServiceEntry {
  const implementation: FleetServiceServer = {
    listRegions: handlers.unary(viewer(free), listRegions),
    listHosts: handlers.unary(viewer(filter(({ application: name }) => name)), listHosts),
    enrolHosts: handlers.unary(
      regionAgent(({ hosts }) => hosts.map(({ region }) => region)),
      enrolHosts,
    ),
    listEnrolledHosts: handlers.unary(
      regionAgent(({ region }) => region),
      listEnrolledHosts,
    ),
    decommissionHost: handlers.unary(admin(fleet, "actor"), decommissionHost),
    readHostLog: handlers.unary(viewer(application(({ application: name }) => name)), readHostLog),
  };
  return { definition: FleetServiceService, implementation };
}
