import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { startNats, type NatsServer } from "@slipway/examples/servers";
import {
  connect,
  credsAuthenticator,
  Events,
  jwtAuthenticator,
  nkeys,
  type Authenticator,
  type NatsConnection,
} from "nats";
import { issueNatsUser, type NatsMember } from "../../src/nats-access/issue-user.js";
import { readIssuerKeys } from "../../src/nats-access/key-files.js";
import {
  writeNatsConfig,
  type NatsConfigOptions,
} from "../../src/nats-access/write-nats-config.js";

/** A nats-server with a configuration that was generated for regions eu and us. */
export interface World {
  dir: string;
  /** Of the keys and users. */
  out: string;
  server: NatsServer;
  restart(): Promise<void>;
  /** Generates anew. */
  generate(options?: Partial<NatsConfigOptions>): Promise<void>;
  /** With the credentials in a file. */
  connectFile(name: string, inboxPrefix: string): Promise<NatsConnection>;
  /** As a member that has joined. */
  connectMember(
    member: Pick<NatsMember, "role" | "id" | "region">,
    to: "regional" | "global",
    user?: Member,
  ): Promise<NatsConnection>;
  connect(authenticator: Authenticator, inboxPrefix?: string): Promise<NatsConnection>;
  close(): Promise<void>;
}

/** A member's key and what was signed for it. */
export interface Member {
  seed: Uint8Array;
  publicKey: string;
  jwts: { regional: string; global: string | undefined };
}

export async function startWorld(settings: Partial<NatsConfigOptions> = {}): Promise<World> {
  const dir = await mkdtemp(path.join(tmpdir(), "slipway-nats-access-"));
  const out = path.join(dir, "nats");
  const generate = (options: Partial<NatsConfigOptions> = {}): Promise<void> =>
    writeNatsConfig({
      out,
      regions: ["eu", "us"],
      dataDir: path.join(dir, "server"),
      ...settings,
      ...options,
    });
  await generate();
  const config = path.join(out, "nats-global.conf");
  const start = (port?: number): Promise<NatsServer> =>
    startNats({
      dir: path.join(dir, "server"),
      config,
      ...(port === undefined ? {} : { port }),
    });
  let server = await start();
  const connections: NatsConnection[] = [];
  const open = async (
    authenticator: Authenticator,
    inboxPrefix = "_INBOX",
  ): Promise<NatsConnection> => {
    const connection = await connect({
      servers: server.url,
      authenticator,
      inboxPrefix,
      reconnect: false,
      noAsyncTraces: true,
      timeout: 10_000,
    });
    connections.push(connection);
    return connection;
  };
  return {
    dir,
    out,
    get server() {
      return server;
    },
    async restart() {
      await server.stop();
      server = await start(server.port);
    },
    generate,
    connect: open,
    async connectFile(name, inboxPrefix) {
      const creds = await readFile(path.join(out, `${name}.creds`));
      return open(credsAuthenticator(creds), inboxPrefix);
    },
    async connectMember(member, to, user) {
      const { seed, jwts } = user ?? (await joinMember(out, member));
      const jwt = to === "global" ? jwts.global : jwts.regional;
      if (jwt === undefined) throw new Error(`${member.id} has no ${to} user`);
      const { id, region } = member;
      const prefix = member.role === "host" ? `_INBOX_host.${id}` : `_INBOX_region.${region}.${id}`;
      return open(jwtAuthenticator(jwt, seed), prefix);
    },
    async close() {
      await Promise.all(connections.map((connection) => connection.close()));
      await server.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** What a coordinator does for a member that joins. */
export async function joinMember(
  out: string,
  member: Pick<NatsMember, "role" | "id" | "region">,
  expireTime = new Date(Date.now() + 3_600_000),
): Promise<Member> {
  const pair = nkeys.createUser();
  const keys = await readIssuerKeys(path.join(out, "issuer.json"));
  const publicKey = pair.getPublicKey();
  const jwts = await issueNatsUser(keys, { ...member, natsPublicKey: publicKey, expireTime });
  return { seed: pair.getSeed(), publicKey, jwts };
}

/** Which of the subjects the server refuses to take from the connection, or to give to it. */
export async function refused(
  connection: NatsConnection,
  operation: "publish" | "subscribe",
  subjects: readonly string[],
): Promise<string[]> {
  const found = new Set<string>();
  const statuses = connection.status();
  const following = (async () => {
    for await (const status of statuses) {
      if (status.type !== Events.Error || status.permissionContext === undefined) continue;
      found.add(status.permissionContext.subject);
    }
  })();
  for (const subject of subjects) {
    if (operation === "publish") connection.publish(subject, "from a test");
    else connection.subscribe(subject, { callback: () => undefined });
  }
  // The server speaks of what it refuses before it answers this.
  await connection.flush();
  await turn();
  (statuses as AsyncIterable<unknown> & { stop(): void }).stop();
  await following;
  return subjects.filter((subject) => found.has(subject));
}
