import path from "node:path";
import {
  FleetServiceClient,
  GRPC_MAX_MESSAGE_BYTES,
  regionAgentInbox,
  ReplicationServiceClient,
} from "@slipway/proto";
import { Endings } from "@slipway/proto/files";
import type { Registry } from "prom-client";
import { openDirectoryBlobStore } from "../blob/index.js";
import { DEFAULT_CELL, type RegionConfig } from "../config.js";
import type { Logger } from "../log.js";
import {
  registerCertificate,
  registerTwins,
  registerToken,
  registerNatsEndings,
} from "../metrics/agent-metrics.js";
import { registerGoals, registerHosts, registerLeader } from "../metrics/region-metrics.js";
import { registerStale, registerTrust } from "../metrics/trust-metrics.js";
import { registerSwarm } from "../metrics/swarm-metrics.js";
import { openChannel } from "../coordinator/channel.js";
import { CoordinatorReach } from "../coordinator/coordinator-reach.js";
import { channelOptions } from "../coordinator/failover-channel.js";
import { openMember } from "../membership/open-member.js";
import { userOf, type NatsAccess } from "../nats/access.js";
import { natsEndings } from "../nats/endings.js";
import { NatsLink } from "../nats/link.js";
import { KeptRevocations } from "../revocation/kept-revocations.js";
import { RevocationReader } from "../revocation/revocation-reader.js";
import { thisProcess } from "../process/this-process.js";
import { TwinAlarm } from "../process/twin-alarm.js";
import { takeDataDirectory } from "../process/data-directory.js";
import { type RunningAgent, stopOnce } from "../running-agent.js";
import { join } from "../swarm/index.js";
import { openTrust } from "../trust/open-trust.js";
import { AGENT_VERSION } from "../version.js";
import { blobSource } from "./blob-source.js";
import { CellWatch } from "./cell-watch.js";
import { Enroller } from "./enroller.js";
import { GoalCopier } from "./goal-copier.js";
import { HeldArtifacts } from "./held-artifacts.js";
import { HostTable } from "./host-table.js";
import { HostLogBridge } from "./host-log-bridge.js";
import { Inventory } from "./inventory.js";
import { LeaderLease } from "./leader-lease.js";
import { Replicator } from "./replicator.js";
import { StatusWriter } from "./status-writer.js";
import { TwinWatch } from "./twin-watch.js";

const REVOKED =
  "a host of this agent's id is revoked: no peer takes either; give it another identity";

/**
 * Starts one of a region's agents: copies goals and artifacts into the region, seeds its swarm, and
 * counts its hosts. Of two or more a region one leads, and another takes over when it is gone.
 * @param metrics - What it counts is registered here.
 * @param signal - Gives up joining the fleet.
 * @throws JoinError, DataDirectoryError, DataDirectoryInUseError, and errors of files, keys and addresses that cannot be used.
 */
export async function startRegion(
  config: RegionConfig,
  log: Logger,
  metrics?: Registry,
  signal?: AbortSignal,
): Promise<RunningAgent> {
  const { region } = config;
  const self = thisProcess(config.listen);
  const alarm = new TwinAlarm(self, log);
  const cleanUp: (() => Promise<void> | void)[] = [await takeDataDirectory(config.dataDir)];
  const stop = stopOnce(cleanUp, log);
  try {
    const role = "region" as const;
    const trust = await openTrust(config, log);
    cleanUp.push(() => trust.keySet?.stop());
    const checked = trust.keySet !== undefined || config.goalPublicKeyFiles.length > 0;
    const keys = checked ? trust.keys.goals : undefined;
    const secured = await openChannel(config, log);
    cleanUp.push(() => secured.token?.stop());
    const member = await openMember({ ...config, role, channel: secured, trust, log, signal });
    cleanUp.push(() => member.stop());
    const [main, regional] = await Promise.all([
      openDirectoryBlobStore(config.mainBlobStore),
      openDirectoryBlobStore(config.blobStore),
    ]);
    const table = new HostTable(region);
    const revocations =
      keys &&
      new KeptRevocations({
        dataDir: config.dataDir,
        reader: new RevocationReader(keys, log),
        log,
        onChange: (hostIds) => {
          swarm.setRevoked(hostIds);
          // Not only with the next reading of the persisted hosts: it would count as silent.
          table.decommission([...hostIds]);
          if (hostIds.has(config.id)) log.error({ agent: config.id }, REVOKED);
        },
      });
    if (revocations === undefined) {
      log.warn("without a goal key this agent keeps no revoked host out of the swarm");
    } else {
      await revocations.load();
      table.decommission([...revocations.hostIds]);
      if (revocations.hostIds.has(config.id)) log.error({ agent: config.id }, REVOKED);
      cleanUp.push(() => revocations.stop());
    }
    let replicator: Replicator | undefined;
    const swarm = await join({
      identity: member.identity,
      membershipPublicKey: trust.keys.memberships,
      cell: DEFAULT_CELL,
      listen: config.listen,
      bootstrap: config.bootstrap,
      maxUploadBytesPerSecond: config.maxUploadBytesPerSecond,
      maxDownloadBytesPerSecond: config.maxDownloadBytesPerSecond,
      runBootstrap: true,
      source: blobSource(regional),
      revoked: revocations?.hostIds ?? new Set(),
      onDamaged: (digest) => replicator?.suspect(digest),
      log,
    });
    cleanUp.push(() => swarm.close());
    for (const cell of config.cells) swarm.joinCell(cell);
    member.onRenewed(({ certificate }) => swarm.setCertificate(certificate));
    member.start();

    const channel = {
      "grpc.max_receive_message_length": GRPC_MAX_MESSAGE_BYTES,
      "grpc.keepalive_time_ms": 10_000,
      "grpc.keepalive_timeout_ms": 5_000,
      "grpc.initial_reconnect_backoff_ms": 250,
      "grpc.max_reconnect_backoff_ms": 5_000,
      interceptors: secured.interceptors,
    };
    const { coordinator } = config;
    const { credentials } = secured;
    const options = () => channelOptions(coordinator, credentials, channel);
    const fleet = new FleetServiceClient(coordinator, credentials, options());
    const replication = new ReplicationServiceClient(coordinator, credentials, options());
    cleanUp.push(() => {
      fleet.close();
      replication.close();
    });
    const link = (servers: readonly string[], user: NatsAccess["user"]): NatsLink =>
      new NatsLink({
        servers,
        name: `region ${config.id}`,
        access: {
          user,
          caFile: config.natsCaFile,
          inbox: (name = config.id) => regionAgentInbox(region, name),
        },
        log,
      });
    const { natsCredentialsFile, regionNatsCredentialsFile } = config;
    const globalUser = userOf(natsCredentialsFile, () => {
      const { natsSeed, globalNatsJwt: natsJwt } = member.identity;
      return { natsSeed, natsJwt };
    });
    const globalLink = link(config.nats, globalUser);
    const regionUser = userOf(regionNatsCredentialsFile, () => member.identity);
    const regionLink = link(config.regionNats, regionUser);
    const endings = new Endings(
      [
        ...natsEndings({
          of: "",
          link: globalLink,
          user: globalUser,
          credentialsFile: natsCredentialsFile,
          warnsOfServer: true,
        }),
        ...natsEndings({
          of: "region_",
          link: regionLink,
          user: regionUser,
          credentialsFile: regionNatsCredentialsFile,
          warnsOfServer: true,
        }),
      ],
      log,
    );
    cleanUp.push(() => endings.stop());
    cleanUp.push(
      () => globalLink.stop(),
      () => regionLink.stop(),
    );

    const held = new HeldArtifacts(path.join(config.dataDir, "held-artifacts"));
    await held.load();
    if (metrics !== undefined) {
      registerCertificate(metrics, member);
      registerNatsEndings(metrics, endings);
      registerToken(metrics, secured.token);
      registerSwarm(metrics, () => swarm.stats);
      registerTrust(metrics, trust);
    }
    const lease = new LeaderLease({
      link: regionLink,
      region,
      agentId: config.id,
      incarnation: self.incarnation,
      log,
    });
    const leaderTerm = (): number => lease.term;
    const leading = (): boolean => lease.term > 0;
    const reach = new CoordinatorReach(log);
    const enroller = new Enroller({ client: fleet, region, table, leaderTerm, reach, log });
    const copier = new GoalCopier({
      region,
      globalLink,
      regionLink,
      leading,
      keys,
      trust,
      onRevocations: (list) => revocations?.take(list),
      log,
    });
    trust.keys.onChange(() => copier.reconcileSoon());
    const twins = new TwinWatch({ regionLink, region, table, leading, log });
    const writer = new StatusWriter({
      link: globalLink,
      regionLink,
      refusal: () => secured.token?.refusal,
      coordinatorAwaySince: () => reach.awaySince,
      region,
      agentId: config.id,
      table,
      goals: () => copier.goals,
      leaderTerm,
      keySetVersion: () => trust.keys.version,
      self,
      alarm,
      twinHosts: () => twins.count,
      enrolmentKnown: () => enroller.known,
      log,
    });
    const inventory = new Inventory({
      globalLink,
      regionLink,
      region,
      table,
      enrolmentKnown: () => enroller.known,
      warming: () => writer.warming,
      log,
    });
    replicator = new Replicator({
      client: replication,
      region,
      main,
      regional,
      shared: config.blobStoreShared,
      leading,
      reach,
      held,
      onBegin: (write) => swarm.share(write),
      onComplete: (digest) => swarm.announce(digest),
      recheckMs: config.recheckMs,
      log,
    });
    const cells = new CellWatch({ table, joinCell: (cell) => swarm.joinCell(cell), log });
    const bridge = new HostLogBridge({ globalLink, regionLink, region, log });
    const replicating = replicator;
    lease.onChange(() => {
      if (!leading()) return;
      copier.reconcileSoon();
      replicating.onLead();
    });
    if (metrics !== undefined) {
      registerHosts(metrics, () => ({
        ...table.counts(performance.now()),
        ...table.stats,
        cells: table.cells,
        twins: twins.count,
      }));
      registerTwins(metrics, () => alarm.count(performance.now()));
      registerLeader(metrics, () => ({ leads: leading(), ...lease.stats }));
      registerGoals(metrics, () => ({ ...copier.stats, ...copier.ignored }));
      registerStale(metrics, () => copier.goals.values());
    }
    // The lease is given back once nobody here writes by it any more.
    for (const part of [lease, enroller, copier, writer, replicator, cells, twins]) {
      cleanUp.push(() => part.stop());
      part.start();
    }
    inventory.start();
    bridge.start();
    globalLink.start();
    regionLink.start();
    endings.start();
    log.info({ agent: config.id, region, version: AGENT_VERSION }, "region agent started");
    return { stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
