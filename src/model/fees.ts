import type { Cycles } from './message.ts';

/**
 * The real network's price list for an application subnet of 13 nodes, in cycles (1 T cycles = 1 XDR). A subnet of n
 * nodes pays n/13 of it; a subnet with the free schedule pays nothing. Pure functions; whoever charges rounds nothing
 * else.
 */
export const PRICES: {
  readonly referenceSubnetSize: number;
  readonly canisterCreation: Cycles;
  readonly computePercentPerSecond: Cycles;
  readonly updateMessage: Cycles;
  readonly tenInstructions: Cycles;
  readonly tenInstructionsMemory64: Cycles;
  readonly call: Cycles;
  readonly callByte: Cycles;
  readonly ingressMessage: Cycles;
  readonly ingressByte: Cycles;
  readonly gibStoragePerSecond: Cycles;
  readonly signature: Cycles;
  readonly vetkdKey: Cycles;
  readonly httpBase: Cycles;
  readonly httpBasePerNode: Cycles;
  readonly httpRequestByte: Cycles;
  readonly httpResponseByte: Cycles;
} = {
  referenceSubnetSize: 13,
  canisterCreation: 500_000_000_000n,
  computePercentPerSecond: 10_000_000n,
  updateMessage: 5_000_000n,
  tenInstructions: 10n,
  tenInstructionsMemory64: 20n,
  call: 260_000n,
  callByte: 1_000n,
  ingressMessage: 1_200_000n,
  ingressByte: 2_000n,
  gibStoragePerSecond: 127_000n,
  signature: 10_000_000_000n,
  vetkdKey: 10_000_000_000n,
  httpBase: 3_000_000n,
  httpBasePerNode: 60_000n,
  httpRequestByte: 400n,
  httpResponseByte: 800n,
};

/** Which prices apply. `ExecutionEnvironment` of the sandbox is one. */
export interface FeeContext {
  /** Nodes that the prices are scaled to (NetworkRecord.feeSubnetSize), not those that run. */
  readonly subnetSize: number;
  readonly costSchedule: 'normal' | 'free';
}

const GIB = 1n << 30n;
const SECONDS_PER_DAY = 86_400n;

function scaled(context: FeeContext, cycles: Cycles): Cycles {
  if (context.costSchedule === 'free') return 0n;
  return (cycles * BigInt(context.subnetSize)) / BigInt(PRICES.referenceSubnetSize);
}

/** What the receiving canister pays for an ingress message; `payloadBytes` = method name + argument + nonce. */
export function ingressFee(context: FeeContext, payloadBytes: number): Cycles {
  return scaled(context, PRICES.ingressMessage + PRICES.ingressByte * BigInt(payloadBytes));
}

/** Base fee of a message and its instructions. Also the prepayment when `instructions` is the message's limit. */
export function executionFee(context: FeeContext, instructions: bigint, memory64: boolean): Cycles {
  return scaled(context, PRICES.updateMessage) + instructionsFee(context, instructions, memory64);
}

/** Instructions without the base fee: what an unused part of a prepayment is worth. */
export function instructionsFee(context: FeeContext, instructions: bigint, memory64: boolean): Cycles {
  const perTen = memory64 ? PRICES.tenInstructionsMemory64 : PRICES.tenInstructions;
  return scaled(context, (perTen * instructions) / 10n);
}

/** Sending a request; `payloadBytes` = method name + argument. */
export function callFee(context: FeeContext, payloadBytes: number): Cycles {
  return scaled(context, PRICES.call + PRICES.callByte * BigInt(payloadBytes));
}

/** Transmission of a response: prepaid for the largest one, the rest is refunded when the real one arrives. */
export function responseTransmissionFee(context: FeeContext, payloadBytes: number): Cycles {
  return scaled(context, PRICES.callByte * BigInt(payloadBytes));
}

/** What is kept back with each call for its response: transmission of the largest and execution of the longest callback. */
export function responsePrepayment(
  context: FeeContext,
  limits: { readonly responsePayloadBytes: number; readonly updateInstructions: bigint },
  memory64: boolean,
): Cycles {
  return (
    responseTransmissionFee(context, limits.responsePayloadBytes) +
    executionFee(context, limits.updateInstructions, memory64)
  );
}

/** `ic0.cost_call`, and all that `ic0.call_perform` withdraws besides the attached cycles. */
export function callCost(
  context: FeeContext,
  limits: { readonly responsePayloadBytes: number; readonly updateInstructions: bigint },
  payloadBytes: number,
  memory64: boolean,
): Cycles {
  return callFee(context, payloadBytes) + responsePrepayment(context, limits, memory64);
}

export function storageFee(context: FeeContext, bytes: bigint, seconds: bigint): Cycles {
  return scaled(context, (bytes * PRICES.gibStoragePerSecond * seconds) / GIB);
}

export function computeAllocationFee(context: FeeContext, percent: bigint, seconds: bigint): Cycles {
  return scaled(context, percent * PRICES.computePercentPerSecond * seconds);
}

/** Creation of a canister (`ic0.cost_create_canister`). */
export function creationFee(context: FeeContext): Cycles {
  return scaled(context, PRICES.canisterCreation);
}

/** `ic0.cost_http_request`: `(3 M + 60 k n) n + (400 request + 800 response) n`, not scaled by n/13. */
export function httpRequestFee(context: FeeContext, requestBytes: bigint, maxResponseBytes: bigint): Cycles {
  if (context.costSchedule === 'free') return 0n;
  const nodes = BigInt(context.subnetSize);
  return (
    (PRICES.httpBase +
      PRICES.httpBasePerNode * nodes +
      PRICES.httpRequestByte * requestBytes +
      PRICES.httpResponseByte * maxResponseBytes) *
    nodes
  );
}

/** `sign_with_ecdsa`, `sign_with_schnorr`. */
export function signatureFee(context: FeeContext): Cycles {
  return scaled(context, PRICES.signature);
}

export function vetkdFee(context: FeeContext): Cycles {
  return scaled(context, PRICES.vetkdKey);
}

/** What a canister costs while it does nothing. */
export interface IdleUse {
  /** Bytes of memories, code, queues, history, chunks, snapshots. */
  readonly memoryBytes: bigint;
  /** Guaranteed bytes; 0 = best effort. The larger of the two is charged. */
  readonly memoryAllocation: bigint;
  readonly computeAllocation: bigint;
}

/** `idle_cycles_burned_per_day` of `canister_status`. */
export function idleCyclesPerDay(context: FeeContext, use: IdleUse): Cycles {
  let bytes = use.memoryBytes;
  if (use.memoryAllocation > bytes) bytes = use.memoryAllocation;
  return (
    storageFee(context, bytes, SECONDS_PER_DAY) + computeAllocationFee(context, use.computeAllocation, SECONDS_PER_DAY)
  );
}

/** The balance below which the canister is frozen. */
export function freezingThresholdCycles(
  context: FeeContext,
  use: IdleUse & { readonly freezingThresholdSeconds: bigint; readonly reservedBalance: Cycles },
): Cycles {
  const threshold = (idleCyclesPerDay(context, use) * use.freezingThresholdSeconds) / SECONDS_PER_DAY;
  return threshold > use.reservedBalance ? threshold - use.reservedBalance : 0n;
}
