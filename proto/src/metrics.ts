import { Counter, Gauge, type Registry } from "prom-client";

interface About {
  name: string;
  /** What its values mean, in a sentence. */
  help: string;
}

interface ByLabel extends About {
  label: string;
  /** The label's values, and how many of each. */
  read: () => Readonly<Record<string, number>> | undefined;
}

/** A gauge that is always 1, and whose labels say something. */
export function registerInfo(
  registry: Registry,
  { labels, ...about }: About & { labels: Readonly<Record<string, string>> },
): void {
  const info = new Gauge({ ...about, labelNames: Object.keys(labels), registers: [] });
  info.set(labels, 1);
  registry.registerMetric(info);
}

/** A gauge that is read at a scrape; while it is undefined it is not told. */
export function registerGauge(
  registry: Registry,
  { read, ...about }: About & { read: () => number | undefined | Promise<number | undefined> },
): void {
  registry.registerMetric(
    new Gauge({
      ...about,
      registers: [],
      async collect() {
        const value = await read();
        if (value === undefined) this.remove();
        else this.set(value);
      },
    }),
  );
}

/** A gauge for each value of one label, read at a scrape. */
export function registerGauges(registry: Registry, { label, read, ...about }: ByLabel): void {
  registerGaugesBy(registry, {
    ...about,
    labels: [label],
    read: () => Object.entries(read() ?? {}).map(([value, number]) => [[value], number]),
  });
}

/** A gauge for each of a few combinations of labels, read at a scrape. */
export function registerGaugesBy(
  registry: Registry,
  {
    labels,
    read,
    ...about
  }: About & {
    labels: readonly string[];
    /** The labels' values, in order, and the gauge's. */
    read: () => readonly (readonly [values: readonly string[], value: number])[];
  },
): void {
  registry.registerMetric(
    new Gauge({
      ...about,
      labelNames: labels,
      registers: [],
      collect() {
        this.reset();
        for (const [values, value] of read()) {
          const named = labels.map((label, index) => [label, values[index] ?? ""] as const);
          this.set(Object.fromEntries(named), value);
        }
      },
    }),
  );
}

/** A counter of what is counted elsewhere. */
export function registerCount(
  registry: Registry,
  { read, ...about }: About & { read: () => number },
): void {
  registerCountsBy(registry, { ...about, labels: [], read: () => [[[], read()]] });
}

/** A counter for each value of one label, counted elsewhere. */
export function registerCounts(registry: Registry, { label, read, ...about }: ByLabel): void {
  registerCountsBy(registry, {
    ...about,
    labels: [label],
    read: () => Object.entries(read() ?? {}).map(([value, count]) => [[value], count]),
  });
}

/** A counter for each of a few combinations of labels, counted elsewhere. */
export function registerCountsBy(
  registry: Registry,
  {
    labels,
    read,
    ...about
  }: About & {
    labels: readonly string[];
    /** The labels' values, in order, and how many. */
    read: () => readonly (readonly [values: readonly string[], count: number])[];
  },
): void {
  registry.registerMetric(
    new Counter({
      ...about,
      labelNames: labels,
      registers: [],
      collect() {
        this.reset();
        for (const [values, count] of read()) {
          const named = labels.map((label, index) => [label, values[index] ?? ""] as const);
          this.inc(Object.fromEntries(named), count);
        }
      },
    }),
  );
}
