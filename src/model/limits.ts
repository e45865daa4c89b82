/**
 * Every bound of the system in one object. Defaults are the real network's application subnet
 * (docs/reference/limits.md is printed from here). Units are in the names.
 */
export interface Limits {
  // --- instructions -------------------------------------------------------------------------------------------
  readonly updateInstructions: bigint;
  readonly installInstructions: bigint;
  readonly queryInstructions: bigint;
  readonly inspectInstructions: bigint;
  /** Instructions of one slice: how long a message runs before others get their turn. */
  readonly sliceInstructions: bigint;
  /** Instructions of one round over all canisters (checked between slices). */
  readonly roundInstructions: bigint;
  /** Calls that one composite query may make below itself, in depth. */
  readonly compositeQueryDepth: number;
  // --- memory ---------------------------------------------------------------------------------------------------
  readonly wasm32MemoryBytes: bigint;
  readonly wasm64MemoryBytes: bigint;
  readonly defaultWasmMemoryLimitBytes: bigint;
  readonly stableMemoryBytes: bigint;
  /** Stable memory that one replicated message may read, and write. */
  readonly stableWriteBytesPerMessage: bigint;
  readonly stableBytesPerUpgrade: bigint;
  readonly stableBytesPerQuery: bigint;
  readonly subnetMemoryBytes: bigint;
  /** Bytes of unoptimised frames that nested Wasm calls may use (ARCHITECTURE section 4 (c)). */
  readonly stackBytes: number;
  readonly tableElements: number;
  // --- modules --------------------------------------------------------------------------------------------------
  readonly moduleFunctions: number;
  readonly moduleGlobals: number;
  readonly moduleCustomSections: number;
  readonly moduleCustomSectionsBytes: number;
  readonly moduleExportedMethods: number;
  readonly moduleExportedNamesBytes: number;
  readonly moduleFunctionInstructions: number;
  readonly moduleCodeBytes: number;
  readonly moduleBytes: number;
  readonly moduleDataSegments: number;
  // --- canisters ------------------------------------------------------------------------------------------------
  readonly canisters: number;
  readonly controllers: number;
  readonly environmentVariables: number;
  readonly environmentVariableBytes: number;
  readonly chunkBytes: number;
  readonly chunkStoreChunks: number;
  readonly canisterHistoryEntries: number;
  readonly logBytes: number;
  readonly snapshots: number;
  readonly certifiedDataBytes: number;
  // --- messages -------------------------------------------------------------------------------------------------
  readonly ingressBytes: number;
  readonly requestPayloadBytes: number;
  readonly localRequestPayloadBytes: number;
  readonly responsePayloadBytes: number;
  readonly queryResponsePayloadBytes: number;
  readonly queueCapacity: number;
  readonly ingressTtlNanos: bigint;
  readonly ingressDriftNanos: bigint;
  readonly ingressHistoryEntries: number;
  /** Bytes of all answers in the ingress history; the oldest are reduced to `done`. */
  readonly ingressHistoryBytes: number;
  readonly ingressPerBatch: number;
  readonly batchBytes: number;
  readonly delegations: number;
  readonly delegationTargets: number;
  readonly readStatePaths: number;
  readonly readStatePathLabels: number;
  readonly bestEffortTimeoutSeconds: number;
  readonly stopCanisterTimeoutNanos: bigint;
  // --- HTTP -----------------------------------------------------------------------------------------------------
  readonly httpBodyBytes: number;
  /** How long a synchronous call endpoint waits for the outcome before it answers 202. */
  readonly callWaitMs: number;
  /** Age at which a certificate is refreshed before it answers a read. */
  readonly certificateAgeMs: number;
  // --- upkeep ---------------------------------------------------------------------------------------------------
  readonly chargingPeriodNanos: bigint;
  readonly heartbeatPeriodNanos: bigint;
  readonly checkpointRounds: number;
  readonly checkpointLogBytes: number;
}

const GiB = 1n << 30n;
const SECOND = 1_000_000_000n;

export const DEFAULT_LIMITS: Limits = {
  updateInstructions: 40_000_000_000n,
  installInstructions: 300_000_000_000n,
  queryInstructions: 5_000_000_000n,
  inspectInstructions: 200_000_000n,
  sliceInstructions: 10_000_000n,
  roundInstructions: 20_000_000n,
  compositeQueryDepth: 6,
  wasm32MemoryBytes: 4n * GiB,
  wasm64MemoryBytes: 6n * GiB,
  defaultWasmMemoryLimitBytes: 3n * GiB,
  stableMemoryBytes: 500n * GiB,
  stableWriteBytesPerMessage: 2n * GiB,
  stableBytesPerUpgrade: 8n * GiB,
  stableBytesPerQuery: 1n * GiB,
  subnetMemoryBytes: 2048n * GiB,
  stackBytes: 4 * 1024 * 1024,
  tableElements: 1_000_000,
  moduleFunctions: 50_000,
  moduleGlobals: 1_000,
  moduleCustomSections: 16,
  moduleCustomSectionsBytes: 1 << 20,
  moduleExportedMethods: 1_000,
  moduleExportedNamesBytes: 20_000,
  moduleFunctionInstructions: 1_000_000,
  moduleCodeBytes: 12 << 20,
  moduleBytes: 100 << 20,
  moduleDataSegments: 100_000,
  canisters: 120_000,
  controllers: 10,
  environmentVariables: 20,
  environmentVariableBytes: 128,
  chunkBytes: 1 << 20,
  chunkStoreChunks: 100,
  canisterHistoryEntries: 20,
  logBytes: 4096,
  snapshots: 10,
  certifiedDataBytes: 32,
  ingressBytes: 2 << 20,
  requestPayloadBytes: 2 << 20,
  localRequestPayloadBytes: 10 << 20,
  responsePayloadBytes: 2 << 20,
  queryResponsePayloadBytes: 3 << 20,
  queueCapacity: 500,
  ingressTtlNanos: 300n * SECOND,
  ingressDriftNanos: 60n * SECOND,
  ingressHistoryEntries: 600_000,
  ingressHistoryBytes: 4 * 1024 * 1024 * 1024,
  ingressPerBatch: 1_000,
  batchBytes: 4 << 20,
  delegations: 20,
  delegationTargets: 1_000,
  readStatePaths: 1_000,
  readStatePathLabels: 127,
  bestEffortTimeoutSeconds: 300,
  stopCanisterTimeoutNanos: 300n * SECOND,
  httpBodyBytes: 4 << 20,
  callWaitMs: 10_000,
  certificateAgeMs: 60_000,
  chargingPeriodNanos: 10n * SECOND,
  heartbeatPeriodNanos: SECOND,
  checkpointRounds: 500,
  checkpointLogBytes: 64 << 20,
};
