import type { SubnetPort } from './contract.ts';
import {
  type HttpRequest,
  type HttpResponse,
  htmlResponse,
  jsonResponse,
  methodNotAllowedResponse,
  metricsResponse,
  pathOf,
  type Site,
} from './http-message.ts';
import { landingPage } from './landing-page.ts';
import type { NodeMetrics } from './node-metrics.ts';

/** What the node says about itself to people and machines: `/`, `/health`, `/metrics`. */
export class NodePages implements Site {
  readonly #subnet: SubnetPort;
  readonly #metrics: NodeMetrics;
  readonly #implementationVersion: string;

  constructor(subnet: SubnetPort, metrics: NodeMetrics, implementationVersion: string) {
    this.#subnet = subnet;
    this.#metrics = metrics;
    this.#implementationVersion = implementationVersion;
    metrics.registry.onCollect(() => this.#collect());
  }

  answer(request: HttpRequest): Promise<HttpResponse> | undefined {
    const page = this.#page(pathOf(request.url));
    if (page === undefined) return undefined;
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return Promise.resolve(methodNotAllowedResponse('page', 'GET, HEAD'));
    return Promise.resolve(page());
  }

  #page(path: string): (() => HttpResponse) | undefined {
    switch (path) {
      case '/':
        return () => htmlResponse('landing', landingPage(this.#subnet, this.#implementationVersion));
      case '/health':
        return () => this.#health();
      case '/metrics':
        return () => metricsResponse('metrics', this.#metrics.registry.text());
      default:
        return undefined;
    }
  }

  /** 200 when the node can answer reads and calls, else 503; the same facts in both. */
  #health(): HttpResponse {
    const certified = this.#subnet.certified();
    return jsonResponse('health', certified === undefined ? 503 : 200, {
      status: certified === undefined ? 'waiting_for_certified_state' : 'healthy',
      version: this.#implementationVersion,
      height: this.#subnet.replica.state.height,
      certifiedHeight: certified?.height ?? null,
    });
  }

  /** Brings the metrics that are looked up, not kept, to the present. */
  #collect(): void {
    const metrics = this.#metrics;
    const { state } = this.#subnet.replica;
    metrics.height.set(state.height);
    metrics.certifiedHeight.set(this.#subnet.certified()?.height ?? 0);
    metrics.ingressHistory.set(state.ingressHistory.size);
    metrics.canisterMemoryBytes.reset();
    metrics.canisterModuleBytes.reset();
    metrics.canisterBalanceCycles.reset();
    const byStatus = { running: 0, stopping: 0, stopped: 0 };
    for (const canister of state.canisters.values()) {
      byStatus[canister.status.kind]++;
      metrics.canisterMemoryBytes.observe((canister.heap.wasmPages + canister.stable.wasmPages) * 65_536);
      metrics.canisterBalanceCycles.observe(Number(canister.balance));
      const hash = canister.code?.moduleHash;
      if (hash !== undefined) metrics.canisterModuleBytes.observe(state.modules.get(hash)?.length ?? 0);
    }
    for (const [status, count] of Object.entries(byStatus)) metrics.canisters.labels(status).set(count);
  }
}
