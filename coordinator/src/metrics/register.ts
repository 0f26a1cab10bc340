import { Counter, Gauge, type Registry } from "prom-client";

/** A gauge that is read at a scrape; while it is undefined it is not told. */
export function registerGauge(
  registry: Registry,
  { name, help, read }: { name: string; help: string; read: () => number | undefined },
): void {
  registry.registerMetric(
    new Gauge({
      name,
      help,
      registers: [],
      collect() {
        const value = read();
        if (value === undefined) this.remove();
        else this.set(value);
      },
    }),
  );
}

/** A gauge for each value of one label. */
export function registerGauges(
  registry: Registry,
  {
    name,
    help,
    label,
    read,
  }: {
    name: string;
    help: string;
    label: string;
    read: () => Readonly<Record<string, number>> | undefined;
  },
): void {
  registry.registerMetric(
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [],
      collect() {
        this.reset();
        for (const [value, number] of Object.entries(read() ?? {}))
          this.set({ [label]: value }, number);
      },
    }),
  );
}

/** A counter for each of a few combinations of labels, counted elsewhere. */
export function registerCounts(
  registry: Registry,
  {
    name,
    help,
    labels,
    read,
  }: {
    name: string;
    help: string;
    labels: readonly string[];
    /** The labels' values, in order, and how many. */
    read: () => readonly (readonly [values: readonly string[], count: number])[];
  },
): void {
  registry.registerMetric(
    new Counter({
      name,
      help,
      labelNames: labels,
      registers: [],
      collect() {
        this.reset();
        for (const [values, count] of read()) {
          this.inc(
            Object.fromEntries(labels.map((label, index) => [label, values[index] ?? ""])),
            count,
          );
        }
      },
    }),
  );
}

/** A counter for each kind of a tally. */
export function registerTally(
  registry: Registry,
  {
    tally,
    label,
    ...about
  }: {
    name: string;
    help: string;
    label: string;
    tally: { readonly counts: Readonly<Record<string, number>> };
  },
): void {
  registerCounts(registry, {
    ...about,
    labels: [label],
    read: () => Object.entries(tally.counts).map(([kind, count]) => [[kind], count]),
  });
}
