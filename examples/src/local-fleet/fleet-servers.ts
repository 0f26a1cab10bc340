import path from "node:path";
import {
  type NatsOptions,
  type NatsServer,
  type PostgresServer,
  startNats,
  startPostgres,
} from "../servers/index.js";
import { natsConfigFile } from "./files.js";
import { FleetServer } from "./fleet-server.js";

/** The servers that a fleet needs. */
export interface FleetServers {
  postgres: FleetServer<PostgresServer>;
  /** The global one. */
  nats: FleetServer<NatsServer>;
  /** By region; none if the regions share the global one. */
  regionNats: ReadonlyMap<string, FleetServer<NatsServer>>;
  /** All of them, by name: postgres, nats, nats-eu …. */
  all: ReadonlyMap<string, FleetServer>;
}

/**
 * Starts them all at once, with their data below `dir`.
 * @param options.configured - When the nats-servers' configurations are written.
 * @param onStarted - Told of each, so that none is forgotten if another one fails.
 */
export async function startServers(
  dir: string,
  {
    regionsWithNats,
    configured,
  }: { regionsWithNats: readonly string[]; configured: Promise<void> },
  onStarted: (server: FleetServer) => void,
): Promise<FleetServers> {
  const start = async <S extends PostgresServer | NatsServer>(
    name: string,
    starter: (options: { dir: string; port?: number }) => Promise<S>,
  ): Promise<FleetServer<S>> => {
    const options = { dir: path.join(dir, name) };
    const server = await FleetServer.start(name, (port) =>
      starter(port === undefined ? options : { ...options, port }),
    );
    onStarted(server);
    return server;
  };
  const natsStarter =
    (region?: string) =>
    async (options: NatsOptions): Promise<NatsServer> => {
      await configured;
      return startNats({ ...options, config: natsConfigFile(dir, region) });
    };
  const startRegion = async (region: string): Promise<[string, FleetServer<NatsServer>]> => [
    region,
    await start(`nats-${region}`, natsStarter(region)),
  ];
  const starting = [
    start("postgres", startPostgres),
    start("nats", natsStarter()),
    Promise.all(regionsWithNats.map(startRegion)),
  ] as const;
  await Promise.allSettled(starting);
  const [postgres, nats, regions] = await Promise.all(starting);
  const regionNats = new Map(regions);
  const named = [postgres, nats, ...regionNats.values()].map((each) => [each.name, each] as const);
  return { postgres, nats, regionNats, all: new Map<string, FleetServer>(named) };
}
