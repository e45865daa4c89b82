/**
 * HTTP in: the interface of the Internet Computer (`/api/v2`, `v3`, `v4`), `/health`, `/metrics` and a page for people.
 *
 * A request passes one line of steps, each in a file of its own: `Listener` reads it from a socket within bounds,
 * `Front` (in `gateway.ts`) finds the `Site` that has its address, `decodeCall` and `decodeReadState` turn its body
 * into a value, the `Authenticator` says who sent it, and a handler answers: `CallHandler` through consensus and with a
 * certificate, `QueryHandler` from the present state under the node's signature, `ReadStateHandler` with the part of
 * the certified state that this sender may see. Whatever is wrong with a request is a `Refusal` with the status and
 * the text that the real replica gives.
 *
 * The gateway knows the subnet only through `SubnetPort` and has no sockets but those of the `HttpFacility` it is
 * given; without one, `handle` answers in the same process. Nothing that it sends says more than what is durable and,
 * but for query answers, certified.
 *
 * It does not decide what a canister accepts (`replica`), order anything (`consensus`), or verify signatures itself
 * (`certification`). Everything that a peer can make it hold is bounded by `Limits` and `GatewayBounds`.
 */
export { type Authenticator, checkExpiry } from './authenticator.ts';
export type { CertifiedState, GatewayLog, SubnetPort } from './contract.ts';
export {
  createGateway,
  DEFAULT_GATEWAY_BOUNDS,
  type Gateway,
  type GatewayBounds,
  type GatewayOptions,
} from './gateway.ts';
export type { HttpRequest, HttpResponse, Site } from './http-message.ts';
export type { HttpFacility } from './listener.ts';
export { Counter, Gauge, Histogram, MetricsRegistry } from './metrics.ts';
export { NodeMetrics, type RoundFacts, type Stage } from './node-metrics.ts';
