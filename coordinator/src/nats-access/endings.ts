import type { Ending } from "@slipway/proto/files";
import type { CoordinatorConfig } from "../config.js";
import type { Nats } from "../nats.js";
import { endOfCredentials } from "./credentials-file.js";

/** What lets this coordinator in on NATS, and ends. */
export function natsEndingsOf(
  {
    natsCredentialsFile,
    natsRevocation,
  }: Pick<CoordinatorConfig, "natsCredentialsFile" | "natsRevocation">,
  { certificateExpireTime, lookAgain }: Pick<Nats, "certificateExpireTime" | "lookAgain">,
): Ending[] {
  const system = natsRevocation?.systemCredentialsFile;
  return [
    ofFile("credentials", natsCredentialsFile, "--nats-credentials", "coordinator"),
    ofFile("system_credentials", system, "--nats-system-credentials", "system"),
    {
      what: "server_certificate",
      expireTime: certificateExpireTime,
      refresh: lookAgain,
      warning:
        "the certificate of the NATS server that this coordinator is connected to ends soon, and nobody " +
        "connects to it then: make the next one (slipway-coordinator certificate), and reload the server",
    },
  ];
}

function ofFile(what: string, file: string | undefined, option: string, user: string): Ending {
  return {
    what,
    expireTime: () => (file === undefined ? undefined : endOfCredentials(file)),
    warning:
      `the NATS user in ${option} ${file ?? ""} ends soon, and nobody is let in with it then: make the ` +
      `next one with nats-config --renew ${user}, and put it there`,
  };
}
