/**
 * A registry of metrics and their Prometheus text form (exposition format 0.0.4). Instruments are made once, at start;
 * the hot calls `add`, `set` and `observe` touch numbers only. A label combination is a child made by `labels(…)`:
 * keep the child where the call is hot.
 */
export class MetricsRegistry {
  readonly #families = new Map<string, Family>();
  readonly #collectors: (() => void)[] = [];

  /** A number that only grows; its name ends in `_total`. */
  counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    if (!name.endsWith('_total')) throw new MetricsError(`counter "${name}" must end in _total`);
    return this.#family(name, () => new Counter(name, help, labelNames), Counter);
  }

  /** A number that goes up and down. */
  gauge(name: string, help: string, labelNames: readonly string[] = []): Gauge {
    return this.#family(name, () => new Gauge(name, help, labelNames), Gauge);
  }

  /** Counts of observations below each of `bounds` (ascending upper bounds; the infinite one is added). */
  histogram(name: string, help: string, bounds: readonly number[], labelNames: readonly string[] = []): Histogram {
    return this.#family(name, () => new Histogram(name, help, bounds, labelNames), Histogram);
  }

  /** `collect` runs before every `text()`: for values that are cheaper to look up when asked than to keep. */
  onCollect(collect: () => void): void {
    this.#collectors.push(collect);
  }

  /** What is declared, in order of the names. */
  families(): {
    readonly name: string;
    readonly kind: string;
    readonly help: string;
    readonly labels: readonly string[];
  }[] {
    return [...this.#families.values()]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ name, kind, help, labelNames }) => ({ name, kind, help, labels: labelNames }));
  }

  /** All metrics in the Prometheus text format, families in order of their names. */
  text(): string {
    for (const collect of this.#collectors) collect();
    const names = [...this.#families.keys()].sort();
    let text = '';
    for (const name of names) text += this.#families.get(name)?.text() ?? '';
    return text;
  }

  #family<F extends Family>(name: string, make: () => F, kind: new (...args: never[]) => F): F {
    const known = this.#families.get(name);
    if (known === undefined) {
      const made = make();
      this.#families.set(name, made);
      return made;
    }
    if (known instanceof kind) return known;
    throw new MetricsError(`"${name}" is already registered as a ${known.kind}`);
  }
}

/** A mistake in how metrics are declared; thrown at start, never while serving. */
export class MetricsError extends Error {
  override readonly name = 'MetricsError';
}

/** Beyond this many label combinations of one family, further ones share the child labelled `other`. */
const CHILDREN_MAX = 1_000;

interface Family {
  readonly name: string;
  readonly kind: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  text(): string;
}

abstract class Labelled<C> {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly #children = new Map<string, C>();
  #only: C | undefined;

  constructor(name: string, help: string, labelNames: readonly string[]) {
    if (!/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name)) throw new MetricsError(`"${name}" is not a metric name`);
    for (const label of labelNames)
      if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label)) throw new MetricsError(`"${label}" is not a label name`);
    this.name = name;
    this.help = help;
    this.labelNames = labelNames;
  }

  abstract readonly kind: string;
  protected abstract make(): C;
  protected abstract line(child: C, labels: string): string;

  /** The child of these label values, in the order of the label names. */
  labels(...values: readonly string[]): C {
    if (values.length !== this.labelNames.length)
      throw new MetricsError(`"${this.name}" has ${this.labelNames.length} labels, not ${values.length}`);
    const key = this.#key(values);
    let child = this.#children.get(key);
    if (child === undefined) {
      if (this.#children.size >= CHILDREN_MAX) return this.#overflow();
      child = this.make();
      this.#children.set(key, child);
    }
    return child;
  }

  /** The only child of a family without labels. */
  protected get only(): C {
    this.#only ??= this.labels();
    return this.#only;
  }

  /** Forgets all children: for families that are filled anew at every scrape. */
  protected forget(): void {
    this.#children.clear();
    this.#only = undefined;
  }

  /** Empty while nothing was counted: a number that nobody feeds is not shown as 0. */
  text(): string {
    if (this.#children.size === 0) return '';
    let text = `# HELP ${this.name} ${this.help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n`;
    text += `# TYPE ${this.name} ${this.kind}\n`;
    for (const [labels, child] of this.#children) text += this.line(child, labels);
    return text;
  }

  #key(values: readonly string[]): string {
    return this.labelNames.map((name, i) => `${name}="${escapeLabel(values[i] ?? '')}"`).join(',');
  }

  #overflow(): C {
    const key = this.#key(this.labelNames.map(() => 'other'));
    let child = this.#children.get(key);
    if (child === undefined) {
      child = this.make();
      this.#children.set(key, child);
    }
    return child;
  }
}

export class CounterChild {
  value = 0;

  add(amount = 1): void {
    this.value += amount;
  }
}

export class Counter extends Labelled<CounterChild> {
  override readonly kind: string = 'counter';

  /** For a family without labels. @param amount at least 0. */
  add(amount = 1): void {
    this.only.value += amount;
  }

  protected override make(): CounterChild {
    return new CounterChild();
  }

  protected override line(child: CounterChild, labels: string): string {
    return `${series(this.name, labels)} ${number(child.value)}\n`;
  }
}

export class GaugeChild {
  value = 0;

  set(value: number): void {
    this.value = value;
  }

  add(amount: number): void {
    this.value += amount;
  }
}

export class Gauge extends Labelled<GaugeChild> {
  override readonly kind: string = 'gauge';

  set(value: number): void {
    this.only.value = value;
  }

  add(amount: number): void {
    this.only.value += amount;
  }

  protected override make(): GaugeChild {
    return new GaugeChild();
  }

  protected override line(child: GaugeChild, labels: string): string {
    return `${series(this.name, labels)} ${number(child.value)}\n`;
  }
}

export class HistogramChild {
  readonly #bounds: Float64Array;
  /** Observations in each bucket, not cumulative; the last is above all bounds. */
  readonly counts: Float64Array;
  sum = 0;
  count = 0;

  constructor(bounds: Float64Array) {
    this.#bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket++;
    this.counts[bucket] = (this.counts[bucket] as number) + 1;
    this.sum += value;
    this.count++;
  }
}

export class Histogram extends Labelled<HistogramChild> {
  override readonly kind: string = 'histogram';
  readonly #bounds: Float64Array;

  constructor(name: string, help: string, bounds: readonly number[], labelNames: readonly string[]) {
    super(name, help, labelNames);
    if (labelNames.includes('le')) throw new MetricsError('"le" is the label of the buckets');
    for (let i = 1; i < bounds.length; i++)
      if (!((bounds[i - 1] as number) < (bounds[i] as number)))
        throw new MetricsError(`the bounds of "${name}" are not ascending`);
    this.#bounds = Float64Array.from(bounds);
  }

  observe(value: number): void {
    this.only.observe(value);
  }

  /** Forgets all observations: for a distribution that is taken anew at every scrape. */
  reset(): void {
    this.forget();
    if (this.labelNames.length === 0) this.labels();
  }

  protected override make(): HistogramChild {
    return new HistogramChild(this.#bounds);
  }

  protected override line(child: HistogramChild, labels: string): string {
    const prefix = labels === '' ? '' : `${labels},`;
    let text = '';
    let cumulative = 0;
    for (let i = 0; i < this.#bounds.length; i++) {
      cumulative += child.counts[i] as number;
      text += `${this.name}_bucket{${prefix}le="${number(this.#bounds[i] as number)}"} ${cumulative}\n`;
    }
    text += `${this.name}_bucket{${prefix}le="+Inf"} ${child.count}\n`;
    text += `${series(`${this.name}_sum`, labels)} ${number(child.sum)}\n`;
    return `${text}${series(`${this.name}_count`, labels)} ${child.count}\n`;
  }
}

/** `count` bounds from `start`, each `factor` times the one before. */
export function exponentialBounds(start: number, factor: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    const bound = start * factor ** i;
    return Number.isSafeInteger(bound) ? bound : Number(bound.toPrecision(6));
  });
}

/** Bounds for durations in seconds: 10 µs to 10 s, three to a decade. */
export const DURATION_BOUNDS: readonly number[] = [
  1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1, 2, 5, 10,
];

function series(name: string, labels: string): string {
  return labels === '' ? name : `${name}{${labels}}`;
}

function number(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
