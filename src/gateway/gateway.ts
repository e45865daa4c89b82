import { createHash } from 'node:crypto';
import { type Limits, Principal } from '../model/index.ts';
import { type Authenticator, createAuthenticator } from './authenticator.ts';
import { DataCertificates } from './certificate.ts';
import type { GatewayLog, SubnetPort } from './contract.ts';
import {
  type HttpRequest,
  type HttpResponse,
  pathOf,
  preflightResponse,
  type Site,
  textResponse,
} from './http-message.ts';
import { IcApi } from './ic-api.ts';
import { DEFAULT_LISTENER_BOUNDS, type HttpFacility, Listener, type ListenerBounds } from './listener.ts';
import type { CounterChild, HistogramChild } from './metrics.ts';
import type { NodeMetrics } from './node-metrics.ts';
import { NodePages } from './node-pages.ts';
import { Admission } from './services.ts';

export interface GatewayOptions {
  readonly subnet: SubnetPort;
  readonly limits: Limits;
  readonly log: GatewayLog;
  readonly metrics: NodeMetrics;
  /** Shown by `/api/v2/status` and `/health`. */
  readonly implementationVersion: string;
  /** `node:http`, where `listen` is to be called. */
  readonly http?: HttpFacility;
  /** Replaces the verification of signatures, for networks that trust their senders. */
  readonly authenticator?: Authenticator;
  /** Further parts of the address space, asked before the gateway's own. */
  readonly sites?: readonly Site[];
  readonly bounds?: Partial<GatewayBounds>;
}

/** What is worked on at once; more is refused with 429, so that what has begun gets done. */
export interface GatewayBounds extends Omit<ListenerBounds, 'bodyBytes'> {
  readonly calls: number;
  readonly queries: number;
  readonly reads: number;
  /** Bodies of the requests of one kind that are worked on, all together. */
  readonly workingBytes: number;
}

export const DEFAULT_GATEWAY_BOUNDS: GatewayBounds = {
  ...DEFAULT_LISTENER_BOUNDS,
  calls: 10_000,
  queries: 1_000,
  reads: 1_000,
  workingBytes: 512 << 20,
};

/** Answers HTTP requests for a subnet. */
export interface Gateway {
  /** Answers one request, without any socket. Never rejects. */
  handle(request: HttpRequest): Promise<HttpResponse>;
  /**
   * Listens on a TCP port (0: any free one).
   * @throws the system's error with its code, e.g. EADDRINUSE, EACCES
   */
  listen(address: {
    readonly host: string;
    readonly port: number;
  }): Promise<{ readonly host: string; readonly port: number }>;
  /** Takes no new connections and lets requests finish for `graceMs` (default 5,000). */
  close(graceMs?: number): Promise<void>;
}

export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  const { subnet, limits, log, metrics } = options;
  const bounds: GatewayBounds = { ...DEFAULT_GATEWAY_BOUNDS, ...options.bounds };
  const sites: readonly Site[] = [
    ...(options.sites ?? []),
    new IcApi({
      subnet,
      limits,
      log,
      metrics,
      authenticator: options.authenticator ?? (await createAuthenticator(subnet, limits)),
      dataCertificates: new DataCertificates(),
      rootSubnetId: selfAuthenticatingId(subnet.rootKey),
      implementationVersion: options.implementationVersion,
      calls: new Admission(bounds.calls, bounds.workingBytes),
      queries: new Admission(bounds.queries, bounds.workingBytes),
      reads: new Admission(bounds.reads, bounds.workingBytes),
    }),
    new NodePages(subnet, metrics, options.implementationVersion),
  ];
  const front = new Front(sites, log, metrics);
  const listeners: Listener[] = [];
  return {
    handle: (request) => front.handle(request),
    async listen({ host, port }) {
      if (options.http === undefined) throw new Error('this gateway was made without an HTTP facility');
      const listener = new Listener(
        options.http,
        (request) => front.handle(request),
        { ...bounds, bodyBytes: limits.httpBodyBytes },
        log,
        metrics,
      );
      const address = await listener.listen(port, host);
      listeners.push(listener);
      return { host: address.address, port: address.port };
    },
    async close(graceMs = 5_000) {
      await Promise.all(listeners.splice(0).map((listener) => listener.close(graceMs)));
    },
  };
}

interface Counted {
  readonly requests: CounterChild;
  readonly seconds: HistogramChild;
}

/** Asks the sites in turn, counts, and turns what goes wrong into an answer. */
class Front {
  readonly #sites: readonly Site[];
  readonly #log: GatewayLog;
  readonly #metrics: NodeMetrics;
  readonly #counted = new Map<string, Counted>();
  #inFlight = 0;

  constructor(sites: readonly Site[], log: GatewayLog, metrics: NodeMetrics) {
    this.#sites = sites;
    this.#log = log;
    this.#metrics = metrics;
  }

  async handle(request: HttpRequest): Promise<HttpResponse> {
    const metrics = this.#metrics;
    metrics.requestsInFlight.set(++this.#inFlight);
    metrics.requestBytes.observe(request.body.length);
    let response: HttpResponse;
    try {
      response = await this.#answer(request);
    } catch (error) {
      this.#log.error('a request failed', { url: request.url.slice(0, 200), error });
      response = textResponse('failed', 500, 'The node failed to answer; its log says why.');
    }
    metrics.requestsInFlight.set(--this.#inFlight);
    const counted = this.#countedAs(response);
    counted.requests.add();
    counted.seconds.observe((performance.now() - request.receivedAt) / 1000);
    return response;
  }

  /** The instruments of an endpoint and a status; there are few of both. */
  #countedAs({ endpoint, status }: HttpResponse): Counted {
    const name = `${status} ${endpoint}`;
    let counted = this.#counted.get(name);
    if (counted === undefined) {
      const { requests, requestSeconds } = this.#metrics;
      counted = { requests: requests.labels(endpoint, String(status)), seconds: requestSeconds.labels(endpoint) };
      this.#counted.set(name, counted);
    }
    return counted;
  }

  #answer(request: HttpRequest): Promise<HttpResponse> | HttpResponse {
    if (request.method === 'OPTIONS') return preflightResponse();
    for (const site of this.#sites) {
      const answer = site.answer(request);
      if (answer !== undefined) return answer;
    }
    return textResponse('unknown', 404, `There is no ${pathOf(request.url).slice(0, 200)} here.`);
  }
}

/** The id that a public key (DER) gives its owner (interface spec, "Special forms of Principals"). */
function selfAuthenticatingId(der: Uint8Array): Principal {
  return Principal.fromBytes(Uint8Array.of(...createHash('sha224').update(der).digest(), 2));
}
