import path from "node:path";
import { hostInbox, HostStatus, hostStatusSubject } from "@slipway/proto";
import { Endings } from "@slipway/proto/files";
import type { Registry } from "prom-client";
import type { HostConfig } from "../config.js";
import type { Logger } from "../log.js";
import {
  registerCertificate,
  registerStore,
  registerTwins,
  registerNatsEndings,
} from "../metrics/agent-metrics.js";
import { registerObeyed, registerTrust } from "../metrics/trust-metrics.js";
import { registerSwarm } from "../metrics/swarm-metrics.js";
import { openChannel } from "../coordinator/channel.js";
import { openMember } from "../membership/open-member.js";
import { nameOf, NatsCredentialsError, userOf, type NatsAccess } from "../nats/access.js";
import { natsEndings } from "../nats/endings.js";
import { NatsLink } from "../nats/link.js";
import { thisProcess } from "../process/this-process.js";
import { TwinAlarm } from "../process/twin-alarm.js";
import { takeDataDirectory } from "../process/data-directory.js";
import { KeptRevocations } from "../revocation/kept-revocations.js";
import { RevocationReader } from "../revocation/revocation-reader.js";
import { openArtifactStore } from "../store/artifact-store.js";
import { join, type Identity, type Swarm } from "../swarm/index.js";
import { RevokedError } from "../swarm/revoked.js";
import { openTrust } from "../trust/open-trust.js";
import { AGENT_VERSION } from "../version.js";
import { type RunningAgent, stopOnce } from "../running-agent.js";
import { GoalFollower } from "./goal-follower.js";
import { HostApplications } from "./host-applications.js";
import { LogRequests } from "./log-requests.js";
import { VersionFiles } from "../launcher/version-files.js";
import { SelfUpdate } from "./self-update.js";
import { StatusReporter } from "./status-reporter.js";

/**
 * Starts the agent of one machine: follows the region's goals, gets artifacts from the swarm, and
 * runs releases, which go on running when the agent stops unless the config says otherwise.
 * @param metrics - What it counts is registered here.
 * @param signal - Gives up joining the fleet.
 * @throws JoinError, DataDirectoryError, DataDirectoryInUseError, and errors of files, keys and addresses that cannot be used.
 */
export async function startHost(
  config: HostConfig,
  log: Logger,
  metrics?: Registry,
  signal?: AbortSignal,
): Promise<RunningAgent> {
  const startTime = new Date();
  const self = thisProcess(config.listen);
  const twins = new TwinAlarm(self, log);
  const { cell } = config;
  const neighbourCells = config.neighbourCells.filter((other) => other !== cell);
  const cleanUp: (() => Promise<void> | void)[] = [await takeDataDirectory(config.dataDir, 0o755)];
  const stop = stopOnce(cleanUp, log);
  let joining: Promise<Swarm> | undefined;
  try {
    const trust = await openTrust(config, log);
    const { keys, keySet } = trust;
    cleanUp.push(() => keySet?.stop());
    const channel = await openChannel(config, log);
    const membership = await openMember({ ...config, role: "host", channel, trust, log, signal });
    cleanUp.push(() => membership.stop());
    const reader = new RevocationReader(keys.goals, log);
    const revocations = new KeptRevocations({
      dataDir: config.dataDir,
      reader,
      log,
      onChange: (hostIds) => {
        if (isRevoked()) leave();
        else swarm?.setRevoked(hostIds);
      },
    });
    await revocations.load();
    cleanUp.push(() => revocations.stop());
    const isRevoked = (): boolean => revocations.hostIds.has(config.id);
    const store = await openArtifactStore(path.join(config.dataDir, "store"));
    cleanUp.push(() => store.close());
    // Releases must not wait for neighbours.
    let swarm: Swarm | undefined;
    cleanUp.push(() => swarm?.close());
    const joined = isRevoked()
      ? Promise.reject<Swarm>(
          new RevokedError("this host is revoked: it is no member of the swarm"),
        )
      : join({
          identity: membership.identity,
          membershipPublicKey: keys.memberships,
          cell,
          neighbourCells,
          listen: config.listen,
          bootstrap: config.bootstrap,
          maxUploadBytesPerSecond: config.maxUploadBytesPerSecond,
          maxDownloadBytesPerSecond: config.maxDownloadBytesPerSecond,
          source: store,
          log,
        });
    joining = joined.then(async (member) => {
      swarm = member;
      // What has come meanwhile.
      member.setCertificate(membership.identity.certificate);
      if (isRevoked()) await member.close();
      else member.setRevoked(revocations.hostIds);
      return member;
    });
    membership.onRenewed(({ certificate }) => swarm?.setCertificate(certificate));
    membership.start();
    if (metrics !== undefined) {
      registerCertificate(metrics, membership);
      registerTwins(metrics, () => twins.count(performance.now()));
      registerSwarm(metrics, () => swarm?.stats);
      registerStore(metrics, () => store.list());
      registerTrust(metrics, trust);
      registerObeyed(metrics, () => applications.stats);
    }
    const member = joining;
    member.catch(() => {
      // Awaited below, after the releases have been taken care of.
    });
    const user = natsUser(config, () => membership.identity);
    const link = new NatsLink({
      servers: config.regionNats,
      name: `host ${config.id}`,
      access: {
        user,
        caFile: config.natsCaFile,
        inbox: () => hostInbox(config.id),
      },
      log,
    });
    const endings = new Endings(
      natsEndings({
        of: "region_",
        link,
        user,
        credentialsFile: config.regionNatsCredentialsFile,
        // Its region's agents do: of one server a thousand hosts would.
        warnsOfServer: false,
      }),
      log,
    );
    cleanUp.push(() => endings.stop());
    if (metrics !== undefined) registerNatsEndings(metrics, endings);
    endings.start();
    const { labels } = config;
    const versions = new VersionFiles(config.dataDir);
    await versions.prepare();
    const reporter = new StatusReporter({
      publish: () => {
        const status = HostStatus.fromPartial({
          hostId: config.id,
          region: config.region,
          cell,
          labels,
          agentVersion: AGENT_VERSION,
          time: new Date(),
          startTime,
          neighbourCount: swarm?.stats.neighbours ?? 0,
          applications: applications.statuses(),
          keySetVersion: keys.version,
          process: self,
        });
        link.publish(
          hostStatusSubject(config.region, config.id),
          HostStatus.encode(status).finish(),
        );
      },
    });
    const applications = new HostApplications({
      dataDir: config.dataDir,
      host: { hostId: config.id, region: config.region, labels, base: config.environment },
      keys: keys.goals,
      stager: {
        store,
        swarm: {
          fetch: async function* fetch(digest, options) {
            yield* (await member).fetch(digest, options);
          },
          announce: (digest) => swarm?.announce(digest),
        },
      },
      storeMaxBytes: config.storeMaxBytes,
      log,
      onChange: (change) => reporter.changed(change),
      self: agentApplication(config, versions),
    });
    const follower = new GoalFollower({
      link,
      region: config.region,
      log,
      wants: (version) => applications.wants(version),
      onGoal: (application, signed) => void applications.offer(application, signed),
      keySet: keySet && {
        get version() {
          return keySet.version;
        },
        onValue: (signed) => void keySet.offer(signed, "region"),
      },
      revocations: {
        get version() {
          return revocations.version;
        },
        onValue: (signed) => {
          const list = reader.read(signed, "region");
          if (list !== undefined) revocations.take(list);
        },
      },
    });
    keys.onChange(() => {
      applications.checkKeys();
      reporter.changed("phase");
      follower.lookSoon();
    });
    const leave = (): void => {
      log.error(
        { host: config.id, version: revocations.version },
        "this host is revoked: what runs goes on, but it obeys and reports no more, and is in no swarm",
      );
      const left = Promise.all([link.stop(), follower.stop(), swarm?.close()]);
      left.catch((error: unknown) => log.error({ err: error }, "a revoked host cannot leave"));
    };
    new LogRequests({
      link,
      region: config.region,
      hostId: config.id,
      read: (application, position, maxBytes) =>
        applications.readLog(application, position, maxBytes),
      onTwins: (processes) => twins.take(processes, performance.now()),
      log,
    }).start();
    link.onConnected((connection, first) => {
      if (first) reporter.introduce();
      else reporter.changed("phase");
      if (!first || config.launchToken === undefined) return;
      // Whoever can tell the region how it is can be told to become another version again.
      reporter.publishNow();
      connection
        .flush()
        .then(() => versions.confirm(config.launchToken ?? ""))
        .catch((error: unknown) => log.error({ err: error }, "launcher cannot be told"));
    });
    cleanUp.push(() => link.stop());
    cleanUp.push(() => reporter.stop());
    cleanUp.push(() => applications.stop({ stopReleases: config.stopReleasesOnExit }));
    await applications.start();
    reporter.start();
    cleanUp.push(() => follower.stop());
    if (isRevoked()) leave();
    else {
      follower.start();
      link.start();
    }
    await member.catch((error: unknown) => {
      if (!isRevoked()) throw error;
    });
    log.info(
      { host: config.id, region: config.region, cell, neighbourCells, version: AGENT_VERSION },
      "host agent started",
    );
    return { stop };
  } catch (error) {
    await joining?.catch(() => undefined);
    await stop();
    throw error;
  }
}

function agentApplication(config: HostConfig, files: VersionFiles) {
  const { agentApplication: application, launchToken, launchedRelease } = config;
  if (application === undefined) return undefined;
  const launched = launchToken === undefined ? undefined : launchedRelease;
  return { application, update: new SelfUpdate({ files, launchedRelease: launched }) };
}

/** @throws NatsCredentialsError if there are credentials, but not for this host */
function natsUser(
  { id, regionNatsCredentialsFile: file }: HostConfig,
  identity: () => Identity<"host">,
): NatsAccess["user"] {
  const user = userOf(file, identity);
  const shown = user();
  const name = shown === undefined ? id : nameOf(shown);
  if (name === id) return user;
  throw new NatsCredentialsError(`the NATS credentials are for ${name}, not for ${id}`);
}
