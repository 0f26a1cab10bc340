import type { Client } from "@slipway/sdk";

/** Clients of those who use the fleet, each with a token of its own. */
export interface People {
  /** Submits builds, and creates and steers deployments. */
  creator: Client;
  /** Approves what the creator may not. */
  approver: Client;
  /** Freezes, removes and decommissions. */
  operator: Client;
}
