import type { Height, Limits, Principal } from '../model/index.ts';
import type { Authenticator } from './authenticator.ts';
import type { DataCertificates } from './certificate.ts';
import type { CertifiedState, GatewayLog, SubnetPort } from './contract.ts';
import type { NodeMetrics } from './node-metrics.ts';
import { Refusal } from './refusal.ts';

/** What the endpoints work with. */
export interface Services {
  readonly subnet: SubnetPort;
  readonly limits: Limits;
  readonly log: GatewayLog;
  readonly metrics: NodeMetrics;
  readonly authenticator: Authenticator;
  readonly dataCertificates: DataCertificates;
  /** The subnet whose key all certificates lead to. */
  readonly rootSubnetId: Principal;
  readonly implementationVersion: string;
  readonly calls: Admission;
  readonly queries: Admission;
  readonly reads: Admission;
}

/** Bounds how many requests of one kind are worked on at once, and the size of their bodies together. */
export class Admission {
  readonly #max: number;
  readonly #bytesMax: number;
  #present = 0;
  #bytes = 0;

  constructor(max: number, bytesMax: number) {
    this.#max = max;
    this.#bytesMax = bytesMax;
  }

  /** Runs `work` for a request of `bytes`. @throws Refusal (429) when too many are under way. */
  async run<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    if (this.#present >= this.#max || this.#bytes + bytes > this.#bytesMax)
      throw new Refusal(429, 'overloaded', 'The service is overloaded.');
    this.#present++;
    this.#bytes += bytes;
    try {
      return await work();
    } finally {
      this.#present--;
      this.#bytes -= bytes;
    }
  }
}

/** The replica's words while there is nothing certified to answer with. */
export function notReady(): Refusal {
  return new Refusal(
    503,
    'not_ready',
    'Replica is unhealthy: WaitingForCertifiedState. Check the /api/v2/status for more information.',
  );
}

/** The newest certified state once it is at `height`; undefined when that takes longer than a caller would wait. */
export async function certifiedInTime(services: Services, height: Height): Promise<CertifiedState | undefined> {
  const { subnet, limits } = services;
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(late.resolve, limits.callWaitMs, undefined);
  try {
    return await Promise.race([subnet.certifiedSince(height), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
