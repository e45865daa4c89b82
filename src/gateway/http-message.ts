/** An HTTP request as the gateway's logic sees it: no sockets, no streams. */
export interface HttpRequest {
  /** Upper case. */
  readonly method: string;
  /** Path and query as sent, e.g. `/api/v2/status?x=1`. */
  readonly url: string;
  /** The `host` header, lower case; empty when absent. */
  readonly host: string;
  readonly body: Uint8Array;
  /** Milliseconds of monotonic time when the last byte arrived; only differences matter. */
  readonly receivedAt: number;
}

export interface HttpResponse {
  readonly status: number;
  /** Names and values in turn; without `content-length`, which the listener adds. Shared and never changed. */
  readonly headers: readonly string[];
  readonly body: Uint8Array | string;
  /** What the request was, for the metrics. */
  readonly endpoint: string;
}

/**
 * A part of the address space. The gateway asks its sites in turn; the first that does not answer `undefined` has the
 * request. The interface of the Internet Computer is one site, `/health` and its neighbours are another; canister
 * front ends by host name and the PocketIC interface join in the same way.
 */
export interface Site {
  answer(request: HttpRequest): Promise<HttpResponse> | undefined;
}

/** Any web page may read the answers: everything in them is public or signed by the reader. */
const CORS: readonly string[] = [
  'access-control-allow-origin',
  '*',
  'access-control-expose-headers',
  'accept-ranges,content-length,content-range,x-request-id,x-ic-canister-id',
];
const PLAIN: readonly string[] = ['x-content-type-options', 'nosniff', ...CORS];
const CBOR_HEADERS: readonly string[] = ['content-type', 'application/cbor', ...PLAIN];
const TEXT_HEADERS: readonly string[] = ['content-type', 'text/plain; charset=utf-8', ...PLAIN];
/** With 429 and 503: the request may succeed a little later. */
const LATER_HEADERS: readonly string[] = ['retry-after', '1', ...TEXT_HEADERS];
const JSON_HEADERS: readonly string[] = ['content-type', 'application/json', ...PLAIN];
const METRICS_HEADERS: readonly string[] = ['content-type', 'text/plain; version=0.0.4; charset=utf-8', ...PLAIN];
const HTML_HEADERS: readonly string[] = [
  'content-type',
  'text/html; charset=utf-8',
  'content-security-policy',
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'referrer-policy',
  'no-referrer',
  'x-content-type-options',
  'nosniff',
];
/** What boundary nodes answer to a browser's preflight. */
const PREFLIGHT_HEADERS: readonly string[] = [
  ...CORS,
  'access-control-allow-methods',
  'HEAD,GET,POST,PUT,DELETE,PATCH',
  'access-control-allow-headers',
  'user-agent,dnt,if-none-match,if-modified-since,cache-control,content-type,range,cookie,x-requested-with,x-ic-canister-id,accept,authorization',
  'access-control-max-age',
  '7200',
];
const NOTHING = new Uint8Array(0);

export function cborResponse(endpoint: string, body: Uint8Array): HttpResponse {
  return { status: 200, headers: CBOR_HEADERS, body, endpoint };
}

export function textResponse(endpoint: string, status: number, body: string): HttpResponse {
  return { status, headers: status === 429 || status === 503 ? LATER_HEADERS : TEXT_HEADERS, body, endpoint };
}

/** An update call taken on: 202 without a body. */
export function acceptedResponse(endpoint: string): HttpResponse {
  return { status: 202, headers: PLAIN, body: NOTHING, endpoint };
}

export function jsonResponse(endpoint: string, status: number, value: unknown): HttpResponse {
  return { status, headers: JSON_HEADERS, body: `${JSON.stringify(value)}\n`, endpoint };
}

export function htmlResponse(endpoint: string, body: string): HttpResponse {
  return { status: 200, headers: HTML_HEADERS, body, endpoint };
}

export function metricsResponse(endpoint: string, body: string): HttpResponse {
  return { status: 200, headers: METRICS_HEADERS, body, endpoint };
}

export function preflightResponse(): HttpResponse {
  return { status: 200, headers: PREFLIGHT_HEADERS, body: NOTHING, endpoint: 'preflight' };
}

/** @param allow the methods that the path has, e.g. `POST`. */
export function methodNotAllowedResponse(endpoint: string, allow: string): HttpResponse {
  return {
    status: 405,
    headers: ['allow', allow, ...TEXT_HEADERS],
    body: `Method not allowed; this path takes ${allow}.`,
    endpoint,
  };
}

/** The path of a request's target without its query; of the form `http://host/path`, which proxies send, the path. */
export function pathOf(url: string): string {
  const path = url.startsWith('http://') ? url.slice(url.indexOf('/', 7)) : url;
  const query = path.indexOf('?');
  return query < 0 ? path : path.slice(0, query);
}
