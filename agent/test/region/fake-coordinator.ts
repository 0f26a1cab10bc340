import { Server, ServerCredentials, status, type ServerWritableStream } from "@grpc/grpc-js";
import {
  FleetServiceService,
  ReplicationServiceService,
  ReplicationState,
  type EnrolledHost,
  type FleetServiceServer,
  type ReplicationServiceServer,
  type ReportReplicationRequest,
  type WatchReplicationTargetsRequest,
  type WatchReplicationTargetsResponse,
} from "@slipway/proto";

function refuse(_call: unknown, answer: (error: object) => void): void {
  answer({ code: status.UNIMPLEMENTED });
}

/** The parts of a coordinator that a region agent calls. */
export class FakeCoordinator {
  readonly enrolled = new Map<string, EnrolledHost>();
  /** Every host that was asked to be enrolled, each time. */
  readonly enrolments: string[] = [];
  readonly decommissioned = new Set<string>();
  readonly reports: ReportReplicationRequest[] = [];
  readonly #streams = new Set<
    ServerWritableStream<WatchReplicationTargetsRequest, WatchReplicationTargetsResponse>
  >();
  readonly #targets: WatchReplicationTargetsResponse[] = [];
  readonly #server = new Server();

  async start(port: number): Promise<void> {
    const fleet: FleetServiceServer = {
      listRegions: refuse,
      listHosts: refuse,
      decommissionHost: refuse,
      readHostLog: refuse,
      enrolHosts: (call, answer) => {
        const { hosts } = call.request;
        this.enrolments.push(...hosts.map(({ hostId }) => hostId));
        const refused = hosts.filter(({ hostId }) => this.decommissioned.has(hostId));
        for (const host of hosts) if (!refused.includes(host)) this.enrolled.set(host.hostId, host);
        answer(null, { decommissionedHostIds: refused.map(({ hostId }) => hostId) });
      },
      listEnrolledHosts: (_call, answer) =>
        answer(null, { hosts: [...this.enrolled.values()], nextPageToken: "" }),
    };
    const replication: ReplicationServiceServer = {
      getReplicationStatus: refuse,
      reportReplication: (call, answer) => {
        this.reports.push(call.request);
        answer(null, {});
      },
      watchReplicationTargets: (call) => {
        this.#streams.add(call);
        call.on("cancelled", () => this.#streams.delete(call));
        for (const target of this.#targets) call.write(target);
      },
    };
    this.#server.addService(FleetServiceService, fleet);
    this.#server.addService(ReplicationServiceService, replication);
    await new Promise<void>((resolve, reject) => {
      this.#server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      );
    });
  }

  target(artifactDigest: string, sizeBytes: number): void {
    this.#targets.push({ artifactDigest, sizeBytes });
    for (const stream of this.#streams) stream.write({ artifactDigest, sizeBytes });
  }

  /** Whether the artifact's last report says that it is complete. */
  complete(digest: string): boolean {
    const of = this.reports.filter(({ artifactDigest }) => artifactDigest === digest);
    return of.at(-1)?.state === ReplicationState.COMPLETE;
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}
