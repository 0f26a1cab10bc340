import { setTimeout as delay } from "node:timers/promises";
import type { ApplicationSpec, Client, Input } from "@slipway/sdk";
import type { Asker } from "./asker.js";
import type { PlannedOperation } from "./operation-plan.js";

export interface OperatorOptions {
  client: Client;
  plan: readonly PlannedOperation[];
  /** As they were applied, by application. */
  specs: ReadonlyMap<string, Input<ApplicationSpec>>;
  /** Hosts that a narrowed selector takes: those with these labels as well. */
  narrow: Readonly<Record<string, string>>;
  /** The newest build that was submitted of an application, if any was. */
  newestBuild: (application: string) => string | undefined;
  asker: Asker;
  onOperation: (what: string) => void;
}

/** Does what operators do, by plan, each thing beside the others. */
export class Operator {
  readonly #options: OperatorOptions;

  constructor(options: OperatorOptions) {
    this.#options = options;
  }

  /** Ends once all of it is done, and taken back. */
  async run(signal: AbortSignal): Promise<void> {
    const began = Date.now();
    const one = async (planned: PlannedOperation): Promise<void> => {
      await delay(Math.max(0, began + planned.atMs - Date.now()), undefined, { signal });
      await this.#operate(planned, signal);
    };
    await Promise.all(this.#options.plan.map(one));
  }

  async #operate({ kind, target, holdMs }: PlannedOperation, signal: AbortSignal): Promise<void> {
    const { client, onOperation, newestBuild, asker } = this.#options;
    const by = { reason: kind };
    const ask = <T>(call: () => Promise<T>): Promise<T | undefined> =>
      asker.ask(kind, call, signal);
    onOperation(`${kind} ${target}${holdMs === undefined ? "" : ` for ${holdMs} ms`}`);
    switch (kind) {
      case "freeze application":
      case "freeze region": {
        const scope = kind === "freeze region" ? { region: target } : { application: target };
        // It ends by itself should the answer to its creation be lost.
        const freeze = (): Date => new Date(Date.now() + 2 * (holdMs ?? 0));
        const frozen = await ask(() =>
          client.freezes.create({ ...scope, ...by, expireTime: freeze() }),
        );
        await delay(holdMs, undefined, { signal });
        if (frozen !== undefined) await ask(() => client.freezes.end(frozen.id, by));
        return;
      }
      case "remove application":
        await ask(() => client.applications.remove({ name: target, ...by }));
        break;
      case "narrow selector":
        await this.#apply(target, true, signal);
        break;
      case "cancel build": {
        const id = newestBuild(target);
        if (id !== undefined) await ask(() => client.builds.cancel(id, by));
        return;
      }
      case "decommission host":
        await ask(() => client.fleet.decommissionHost({ hostId: target, ...by }));
        return;
    }
    if (holdMs === undefined) return;
    await delay(holdMs, undefined, { signal });
    await this.#apply(target, false, signal);
  }

  async #apply(name: string, narrowed: boolean, signal: AbortSignal): Promise<void> {
    const { client, specs, narrow, asker } = this.#options;
    const spec = specs.get(name) ?? {};
    const selector = { ...spec.selector, ...(narrowed ? narrow : {}) };
    const request = { name, spec: { ...spec, selector }, reason: "selector" };
    await asker.ask("apply", () => client.applications.apply(request), signal);
  }
}
