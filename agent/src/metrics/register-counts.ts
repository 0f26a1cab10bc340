import { Counter, type Registry } from "prom-client";

/** A counter for each of a few results. */
export function registerCounts(
  registry: Registry,
  {
    name,
    help,
    label = "result",
    read,
  }: { name: string; help: string; label?: string; read: () => Record<string, number> },
): void {
  registry.registerMetric(
    new Counter({
      name,
      help,
      labelNames: [label],
      registers: [],
      collect() {
        this.reset();
        for (const [result, count] of Object.entries(read())) this.inc({ [label]: result }, count);
      },
    }),
  );
}
