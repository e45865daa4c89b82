import {
  type Counter,
  DURATION_BOUNDS,
  exponentialBounds,
  type Gauge,
  type Histogram,
  type HistogramChild,
  type MetricsRegistry,
} from './metrics.ts';

/**
 * The metrics of a node under clear names, fed by `node` and `gateway`. They are the operational data that the
 * Internet Computer's replica exports: what each round did, how evenly canisters are served, what canisters hold,
 * and what tracking their memory costs (pages marked and copied: a write barrier has no page faults to count).
 */
export class NodeMetrics {
  readonly registry: MetricsRegistry;

  // --- requests -------------------------------------------------------------------------------------------------
  readonly requests: Counter;
  readonly requestSeconds: Histogram;
  readonly requestBytes: Histogram;
  readonly requestsInFlight: Gauge;
  readonly connections: Gauge;
  readonly refusals: Counter;

  // --- where the time of a request goes ----------------------------------------------------------------------------
  readonly stageSeconds: Histogram;

  // --- rounds ---------------------------------------------------------------------------------------------------------
  readonly roundSeconds: Histogram;
  readonly roundInstructions: Histogram;
  readonly roundSlices: Histogram;
  readonly roundMessages: Histogram;
  readonly roundCanisters: Histogram;
  readonly roundRateLimited: Histogram;
  readonly instructions: Counter;
  readonly messages: Counter;
  readonly laneBusySeconds: Counter;
  readonly canisterWaitRounds: Histogram;
  readonly allocationViolations: Counter;

  // --- memory tracking ----------------------------------------------------------------------------------------------
  readonly pagesDirtied: Counter;
  readonly pagesCopied: Counter;
  readonly pagesRolledBack: Counter;

  // --- what the subnet holds, taken at each scrape -----------------------------------------------------------------
  readonly height: Gauge;
  readonly certifiedHeight: Gauge;
  readonly durableHeight: Gauge;
  readonly canisters: Gauge;
  readonly ingressPool: Gauge;
  readonly ingressHistory: Gauge;
  readonly canisterMemoryBytes: Histogram;
  readonly canisterModuleBytes: Histogram;
  readonly canisterBalanceCycles: Histogram;
  readonly logBytes: Counter;
  readonly logSyncs: Counter;
  readonly checkpoints: Counter;

  readonly #stages = new Map<Stage, HistogramChild>();

  constructor(registry: MetricsRegistry) {
    this.registry = registry;
    const powersOfTen = (from: number, count: number): number[] => exponentialBounds(from, 10, count);
    this.requests = registry.counter('perdure_http_requests_total', 'Requests answered.', ['endpoint', 'status']);
    this.requestSeconds = registry.histogram(
      'perdure_http_request_seconds',
      'From the last byte of a request to the first of its answer.',
      DURATION_BOUNDS,
      ['endpoint'],
    );
    this.requestBytes = registry.histogram(
      'perdure_http_request_bytes',
      'Sizes of request bodies.',
      exponentialBounds(64, 4, 9),
    );
    this.requestsInFlight = registry.gauge('perdure_http_requests_in_flight', 'Requests being handled.');
    this.connections = registry.gauge('perdure_http_connections', 'Open connections.');
    this.refusals = registry.counter('perdure_http_refusals_total', 'Requests refused, by what was wrong.', ['reason']);

    this.stageSeconds = registry.histogram(
      'perdure_stage_seconds',
      'Time of requests and rounds by stage: decode, verify, inspect, execute, fsync, certify, wait, encode, sign.',
      DURATION_BOUNDS,
      ['stage'],
    );

    this.roundSeconds = registry.histogram('perdure_round_seconds', 'Duration of rounds.', DURATION_BOUNDS);
    this.roundInstructions = registry.histogram(
      'perdure_round_instructions',
      'Instructions executed in a round.',
      powersOfTen(1e3, 9),
    );
    const counts = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];
    this.roundSlices = registry.histogram('perdure_round_slices', 'Execution slices in a round.', counts);
    this.roundMessages = registry.histogram('perdure_round_messages', 'Messages executed in a round.', counts);
    this.roundCanisters = registry.histogram('perdure_round_canisters', 'Canisters that ran in a round.', counts);
    this.roundRateLimited = registry.histogram(
      'perdure_round_canisters_rate_limited',
      'Canisters held back in a round by a rate limit.',
      counts,
    );
    this.instructions = registry.counter('perdure_instructions_total', 'Instructions executed.');
    this.messages = registry.counter('perdure_messages_total', 'Messages executed.');
    this.laneBusySeconds = registry.counter(
      'perdure_lane_busy_seconds_total',
      'Time an execution lane spent in canister code; its rate is the utilisation of that lane.',
      ['lane'],
    );
    this.canisterWaitRounds = registry.histogram(
      'perdure_canister_wait_rounds',
      'Rounds that a canister with waiting messages went without running, when it ran.',
      counts,
    );
    this.allocationViolations = registry.counter(
      'perdure_compute_allocation_violations_total',
      'Times that a canister got less than its compute allocation.',
    );

    this.pagesDirtied = registry.counter('perdure_pages_dirtied_total', 'Pages of 4 KiB written by messages.', [
      'memory',
    ]);
    this.pagesCopied = registry.counter('perdure_pages_copied_total', 'Pages copied into live heaps.', ['memory']);
    this.pagesRolledBack = registry.counter(
      'perdure_pages_rolled_back_total',
      'Pages restored after a message failed.',
      ['memory'],
    );

    this.height = registry.gauge('perdure_height', 'Height of the last executed round.');
    this.certifiedHeight = registry.gauge('perdure_certified_height', 'Height of the newest certified state.');
    this.durableHeight = registry.gauge('perdure_durable_height', 'Height of the newest durable batch.');
    this.canisters = registry.gauge('perdure_canisters', 'Canisters by status.', ['status']);
    this.ingressPool = registry.gauge('perdure_ingress_pool_messages', 'Update calls that wait for a batch.');
    this.ingressHistory = registry.gauge('perdure_ingress_history_entries', 'Update calls whose status is remembered.');
    this.canisterMemoryBytes = registry.histogram(
      'perdure_canister_memory_bytes',
      'Heap and stable memory of the canisters, now.',
      exponentialBounds(65_536, 8, 8),
    );
    this.canisterModuleBytes = registry.histogram(
      'perdure_canister_module_bytes',
      'Uploaded sizes of the modules of the canisters, now.',
      exponentialBounds(1_024, 4, 9),
    );
    this.canisterBalanceCycles = registry.histogram(
      'perdure_canister_balance_cycles',
      'Balances of the canisters, now.',
      powersOfTen(1e9, 10),
    );
    this.logBytes = registry.counter('perdure_log_bytes_total', 'Bytes appended to the input log.');
    this.logSyncs = registry.counter('perdure_log_syncs_total', 'Times the input log was forced to disk.');
    this.checkpoints = registry.counter('perdure_checkpoints_total', 'Checkpoints written.');
  }

  /** Adds `seconds` to a stage. */
  stage(stage: Stage, seconds: number): void {
    let child = this.#stages.get(stage);
    if (child === undefined) {
      child = this.stageSeconds.labels(stage);
      this.#stages.set(stage, child);
    }
    child.observe(seconds);
  }

  /** What one round did. */
  round(round: RoundFacts): void {
    this.roundSeconds.observe(round.seconds);
    this.roundInstructions.observe(Number(round.instructions));
    this.roundMessages.observe(round.messages);
    this.instructions.add(Number(round.instructions));
    this.messages.add(round.messages);
    this.height.set(round.height);
    if (round.slices !== undefined) this.roundSlices.observe(round.slices);
    if (round.canisters !== undefined) this.roundCanisters.observe(round.canisters);
    if (round.rateLimited !== undefined) this.roundRateLimited.observe(round.rateLimited);
  }
}

/** A step in the life of a request: `wait` is the whole time between submission and certification. */
export type Stage =
  | 'decode'
  | 'verify'
  | 'inspect'
  | 'execute'
  | 'fsync'
  | 'certify'
  | 'wait'
  | 'query'
  | 'encode'
  | 'sign';

export interface RoundFacts {
  readonly height: number;
  readonly seconds: number;
  readonly instructions: bigint;
  readonly messages: number;
  readonly slices?: number;
  readonly canisters?: number;
  readonly rateLimited?: number;
}
