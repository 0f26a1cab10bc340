import type { SignedAccount } from "./accounts.js";

/** What a nats-server is told. */
export interface ServerSettings {
  /** Unique among the fleet's servers. */
  name: string;
  /** HOST:PORT. */
  listen: string;
  /** Where JetStream and the accounts are kept. */
  dataDir: string;
  tls: { certFile: string; keyFile: string } | undefined;
}

/** As large as a goal may be, and what goes around it. */
const MAX_PAYLOAD_BYTES = 1024 * 1024;
const MAX_CONNECTIONS = 65_536;

/**
 * The text of a server's configuration: with accounts that only the operator's keys can change, and
 * bounds on what a connection may cost.
 */
export function serverConfig(
  operatorJwt: string,
  systemAccount: string,
  accounts: readonly SignedAccount[],
  { name, listen, dataDir, tls }: ServerSettings,
): string {
  const preload = accounts.map(
    ({ name: account, publicKey, jwt }) => `  # ${account}\n  ${publicKey}: ${jwt}`,
  );
  return `# Written by slipway-coordinator nats-config, which writes it anew. Holds no secrets.
server_name: ${quote(name)}
listen: ${quote(listen)}

max_connections: ${MAX_CONNECTIONS}
max_payload: ${MAX_PAYLOAD_BYTES}
max_control_line: 4096
# Connections that do not take what they are sent are closed.
max_pending: ${8 * 1024 * 1024}
write_deadline: "10s"
ping_interval: "20s"
ping_max: 3
# Seconds that a connection may take to say who it is.
authorization { timeout: 3 }
${tls === undefined ? "" : tlsBlock(tls)}
jetstream { store_dir: ${quote(`${dataDir}/jetstream`)} }

operator: ${operatorJwt}
system_account: ${systemAccount}
# Accounts change when a coordinator revokes a user; what is newer than the preloaded stays.
resolver: {
  type: full
  dir: ${quote(`${dataDir}/accounts`)}
  allow_delete: false
  interval: "2m"
}
resolver_preload: {
${preload.join("\n")}
}
`;
}

function tlsBlock({ certFile, keyFile }: { certFile: string; keyFile: string }): string {
  return `tls {
  cert_file: ${quote(certFile)}
  key_file: ${quote(keyFile)}
  timeout: 3
}
`;
}

/** As nats-server reads strings. */
function quote(text: string): string {
  return JSON.stringify(text);
}
