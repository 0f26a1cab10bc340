import { endOfJwt, type Ending } from "@slipway/proto/files";
import type { NatsUser } from "./access.js";
import type { NatsLink } from "./link.js";

interface Asked {
  /** Which NATS, as the metric's label begins: empty for a region agent's global one. */
  of: "" | "region_";
  link: NatsLink;
  user: () => NatsUser | undefined;
  /** Undefined: the user is the member's, and renewed with its certificate. */
  credentialsFile: string | undefined;
  /** Whether the server's certificate is looked after here, or only told. */
  warnsOfServer: boolean;
}

/** What lets an agent in on a NATS server, and ends. */
export function natsEndings({ of, link, user, credentialsFile, warnsOfServer }: Asked): Ending[] {
  const endings: Ending[] = [];
  if (credentialsFile !== undefined) {
    const option = of === "" ? "--nats-credentials" : "--region-nats-credentials";
    endings.push({
      what: `${of}credentials`,
      expireTime: () => endOfJwt(user()?.jwt ?? ""),
      warning:
        `the NATS user in ${option} ${credentialsFile} ends soon, and the agent is let in no more then: ` +
        "make the next one (slipway-coordinator nats-config --renew, or nats-user), and put it there",
    });
  }
  if (warnsOfServer) {
    endings.push({
      what: `${of}server_certificate`,
      expireTime: () => link.certificateExpireTime,
      refresh: () => link.lookAgain(),
      warning:
        `the certificate of the ${of === "" ? "global" : "region's"} NATS server that this agent is ` +
        "connected to ends soon, and nobody connects to it then: make the next one " +
        "(slipway-coordinator certificate), and reload the server",
    });
  }
  return endings;
}
