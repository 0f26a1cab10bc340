import { type AgentProcess, HostStatus, incarnationOf, Incarnations } from "@slipway/proto";

/** Hosts of which several processes are remembered; of more, the others are not looked at. */
const MAX_HOSTS = 10_000;
/** More than any agent says of itself. */
const MAX_TEXT = 256;

/** Which hosts several processes say they are. Of a host that one process speaks for it holds nothing. */
export class HostTwins {
  readonly #hosts = new Map<string, Incarnations<AgentProcess>>();

  /** What a host says, and what was said in its name before. Times in ms. */
  heard(
    status: HostStatus,
    before: { bytes: Uint8Array; incarnation: string; at: number } | undefined,
    now: number,
  ): void {
    const { hostId } = status;
    const name = incarnationOf(status);
    let host = this.#hosts.get(hostId);
    if (host === undefined) {
      if (before === undefined || before.incarnation === name) return;
      if (this.#hosts.size >= MAX_HOSTS) return;
      host = new Incarnations();
      host.note(before.incarnation, processOf(HostStatus.decode(before.bytes)), before.at);
      this.#hosts.set(hostId, host);
    }
    host.note(name, processOf(status), now);
  }

  /** The processes that say they are the host; none unless there are several. */
  of(hostId: string, now: number): AgentProcess[] {
    return [...(this.#hosts.get(hostId)?.twins(now).values() ?? [])];
  }

  /** All hosts that there are several of. */
  all(now: number): Map<string, AgentProcess[]> {
    const found = new Map<string, AgentProcess[]>();
    for (const [hostId, host] of this.#hosts) {
      if (host.size(now) <= 1) this.#hosts.delete(hostId);
      const twins = host.twins(now);
      if (twins.size > 0) found.set(hostId, [...twins.values()]);
    }
    return found;
  }
}

function processOf({ process }: HostStatus): AgentProcess {
  const { incarnation = "", machine = "", address = "", pid = 0 } = process ?? {};
  const [a, b, c] = [incarnation, machine, address].map((text) => text.slice(0, MAX_TEXT));
  return { incarnation: a ?? "", machine: b ?? "", address: c ?? "", pid };
}
