import { freezesOf } from "../freeze/freezes.js";
import { countHosts } from "../status/enrolment.js";
import { AGENT_SILENT_AFTER_MS } from "../status/region-agent.js";
import { regionsWithout } from "./create-deployment.js";
import type { Evidence } from "./decide.js";
import type { StoredDeployment } from "./deployment.js";
import { describeFreezes } from "./describe-freezes.js";
import type { RolloutContext } from "./rollout-context.js";
import { dueRegions } from "./snapshot.js";

const MAX_AGE_MS = 5_000;
const UNHEARD =
  "the coordinator does not reach the global NATS, and cannot tell what regions are doing until it does";

/** What the databases say of a deployment's present step. */
interface Facts {
  /** Of which deployment and step. */
  of: string;
  readAt: number;
  enrolled: ReadonlyMap<string, number>;
  /** Regions whose stores lack the artifact. */
  lacking: ReadonlySet<string>;
  freezes: readonly string[];
}

/** Whether the goal is out, and whether it can be. */
export type Publication = Pick<Evidence, "unpublished" | "overtaken">;

/** Gathers what deployments are judged by; keeps for some seconds what is asked of databases. */
export class FactReader {
  readonly #context: RolloutContext;
  readonly #known = new Map<string, Facts>();
  /** Until a while after this, an agent that was not heard of may just not have been listened to. */
  #listeningSince = 0;

  constructor(context: RolloutContext) {
    this.#context = context;
  }

  /** Forgets everything: somebody else may have led until now. */
  begin(): void {
    this.#known.clear();
    this.#listeningSince = this.#context.clock.now();
  }

  forget(application: string): void {
    this.#known.delete(application);
  }

  /** @param fresh reads the databases again. */
  async gather(
    deployment: StoredDeployment,
    { published, fresh }: { published: Publication; fresh: boolean },
  ): Promise<Evidence> {
    const { status, clock } = this.#context;
    const { application, generation, regions } = deployment.goal;
    const { enrolled, lacking, freezes } = await this.#facts(deployment, fresh);
    const hearing = status.hearing.since(clock.now());
    const listeningSince = Math.max(this.#listeningSince, hearing ?? clock.now());
    const settled = clock.now() - listeningSince >= AGENT_SILENT_AFTER_MS;
    const progress = status.progress(application, generation, regions);
    const isSilent = progress.some(
      ({ region, silent }) => silent && (enrolled.get(region) ?? 0) > 0,
    );
    return {
      regions: progress.map((region) => ({
        region: region.region,
        heard:
          region.silent && settled
            ? "silent"
            : region.silent || region.warming
              ? "warming"
              : "live",
        natsAwaySince: region.natsAwaySince,
        status: region.status,
        enrolled: enrolled.get(region.region) ?? 0,
        replicated: !lacking.has(region.region),
      })),
      ...published,
      unheard: hearing === undefined && isSilent ? UNHEARD : undefined,
      freezes,
    };
  }

  async #facts(deployment: StoredDeployment, fresh: boolean): Promise<Facts> {
    const { db, clock } = this.#context;
    const { goal, snapshot } = deployment;
    const { application, deploymentId } = goal;
    const of = `${deploymentId} ${snapshot.step} ${snapshot.phase}`;
    const known = this.#known.get(application);
    // What holds it up may be gone the next moment.
    const held = known !== undefined && known.lacking.size + known.freezes.length > 0;
    const young = known !== undefined && clock.now() - known.readAt < MAX_AGE_MS;
    if (known?.of === of && young && !held && !fresh) return known;
    const gated = snapshot.phase === "STAGING" && !snapshot.isRollback;
    const own = dueRegions(snapshot);
    const [enrolled, lacking, freezes] = await Promise.all([
      countHosts(db, goal),
      gated ? this.#lacking(deployment) : new Set<string>(),
      gated ? freezesOf(db, application, own) : [],
    ]);
    const readAt = clock.now();
    const facts = { of, readAt, enrolled, lacking, freezes: describeFreezes(freezes) };
    this.#known.set(application, facts);
    return facts;
  }

  async #lacking({ goal, deployment }: StoredDeployment): Promise<ReadonlySet<string>> {
    const { run: release, regions } = goal;
    const finishTime = deployment.createTime ?? new Date(this.#context.clock.now());
    try {
      const missing = await regionsWithout(this.#context, { release, regions, finishTime });
      return new Set(missing.map(({ region }) => region));
    } catch (error) {
      const { application } = goal;
      this.#context.log.warn(
        { err: error, application },
        "cannot tell which stores lack an artifact",
      );
      return new Set(regions);
    }
  }
}
