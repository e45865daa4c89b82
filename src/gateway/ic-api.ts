import { Principal } from '../model/index.ts';
import { type CallEndpoint, CallHandler } from './call.ts';
import {
  type HttpRequest,
  type HttpResponse,
  methodNotAllowedResponse,
  pathOf,
  type Site,
  textResponse,
} from './http-message.ts';
import { type QueryEndpoint, QueryHandler } from './query.ts';
import { type ReadStateEndpoint, ReadStateHandler } from './read-state.ts';
import { Refusal } from './refusal.ts';
import type { Services } from './services.ts';
import { statusResponse } from './status.ts';

type Endpoint =
  | (CallEndpoint & { readonly kind: 'call' })
  | (QueryEndpoint & { readonly kind: 'query' })
  | (ReadStateEndpoint & { readonly kind: 'read_state' });

/** All endpoints, by `<version>/<scope>/<verb>` of their paths. */
const ENDPOINTS: ReadonlyMap<string, Endpoint> = new Map(
  (
    [
      { kind: 'call', name: 'v2/canister/call', scope: 'canister', synchronous: false },
      { kind: 'call', name: 'v3/canister/call', scope: 'canister', synchronous: true },
      { kind: 'call', name: 'v4/canister/call', scope: 'canister', synchronous: true },
      { kind: 'call', name: 'v4/subnet/call', scope: 'subnet', synchronous: true },
      { kind: 'query', name: 'v2/canister/query', scope: 'canister' },
      { kind: 'query', name: 'v3/canister/query', scope: 'canister' },
      { kind: 'query', name: 'v3/subnet/query', scope: 'subnet' },
      { kind: 'read_state', name: 'v2/canister/read_state', scope: 'canister', version: 2 },
      { kind: 'read_state', name: 'v3/canister/read_state', scope: 'canister', version: 3 },
      { kind: 'read_state', name: 'v2/subnet/read_state', scope: 'subnet', version: 2 },
      { kind: 'read_state', name: 'v3/subnet/read_state', scope: 'subnet', version: 3 },
    ] satisfies Endpoint[]
  ).map((endpoint) => [endpoint.name, endpoint]),
);

/** Principals of URLs that are remembered; each client talks to a few canisters again and again. */
const PRINCIPALS_MAX = 4_096;

/** The HTTPS interface of the Internet Computer, below `/api/`. */
export class IcApi implements Site {
  readonly #services: Services;
  readonly #calls: CallHandler;
  readonly #queries: QueryHandler;
  readonly #reads: ReadStateHandler;
  readonly #principals = new Map<string, Principal>();

  constructor(services: Services) {
    this.#services = services;
    this.#calls = new CallHandler(services);
    this.#queries = new QueryHandler(services);
    this.#reads = new ReadStateHandler(services);
  }

  answer(request: HttpRequest): Promise<HttpResponse> | undefined {
    const path = pathOf(request.url);
    if (!path.startsWith('/api/')) return undefined;
    if (path === '/api/v2/status') return Promise.resolve(this.#status(request));
    const [, , version, scope, id, verb, more] = path.split('/');
    const endpoint = more === undefined && id !== undefined ? ENDPOINTS.get(`${version}/${scope}/${verb}`) : undefined;
    // Clients fall back to older versions of an endpoint on a plain 404.
    if (endpoint === undefined || id === undefined)
      return Promise.resolve(textResponse('unknown', 404, `There is no ${path.slice(0, 200)} here.`));
    if (request.method !== 'POST') return Promise.resolve(methodNotAllowedResponse(endpoint.name, 'POST'));
    return this.#guarded(endpoint, id, request);
  }

  async #guarded(endpoint: Endpoint, id: string, request: HttpRequest): Promise<HttpResponse> {
    try {
      const effectiveId = this.#principal(id, endpoint.scope);
      switch (endpoint.kind) {
        case 'call':
          return await this.#calls.answer(endpoint, effectiveId, request);
        case 'query':
          return await this.#queries.answer(endpoint, effectiveId, request);
        case 'read_state':
          return await this.#reads.answer(endpoint, effectiveId, request);
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#services.metrics.refusals.labels(error.reason).add();
      return textResponse(endpoint.name, error.status, error.message);
    }
  }

  #status(request: HttpRequest): HttpResponse {
    if (request.method !== 'GET' && request.method !== 'HEAD') return methodNotAllowedResponse('status', 'GET, HEAD');
    return statusResponse(this.#services);
  }

  #principal(text: string, scope: string): Principal {
    const known = this.#principals.get(text);
    if (known !== undefined) return known;
    let principal: Principal;
    try {
      principal = Principal.fromText(text);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Refusal(400, 'effective_id', `Unable to decode ${scope}_id from URL: ${why}`);
    }
    if (this.#principals.size >= PRINCIPALS_MAX) this.#principals.clear();
    this.#principals.set(text, principal);
    return principal;
  }
}
