import { pathOf } from '../certification/index.ts';
import { encodeSelfDescribedCbor, toHex } from '../codec/index.ts';
import { type Ingress, type Principal, rejectCodeOf, type UserError } from '../model/index.ts';
import { certificateOf, requestStatusPath } from './certificate.ts';
import type { CertifiedState } from './contract.ts';
import { type CallRequest, decodeCall } from './envelope.ts';
import { acceptedResponse, cborResponse, type HttpRequest, type HttpResponse } from './http-message.ts';
import { isSubnetCall, requiredTarget } from './management-target.ts';
import { NotAccepted, Refusal } from './refusal.ts';
import type { Services } from './services.ts';

/** Where an update call was sent. */
export interface CallEndpoint {
  readonly name: string;
  readonly scope: 'canister' | 'subnet';
  /** Whether the answer waits for the outcome (v3, v4) or is 202 at once (v2). */
  readonly synchronous: boolean;
}

/**
 * Update calls (interface spec, "Request: Call", "Request: Asynchronous Call"): decode, authenticate, ask the canister,
 * hand over to consensus, and wait for the certified outcome. A request that is known or under way is not submitted
 * again; its further senders wait for the same outcome.
 */
export class CallHandler {
  readonly #services: Services;
  /** Request ids (hex) that callers wait for here, and how many do. */
  readonly #waiting = new Map<string, number>();

  constructor(services: Services) {
    this.#services = services;
  }

  answer(endpoint: CallEndpoint, effectiveId: Principal, http: HttpRequest): Promise<HttpResponse> {
    return this.#services.calls.run(http.body.length, () => this.#answer(endpoint, effectiveId, http));
  }

  async #answer(endpoint: CallEndpoint, effectiveId: Principal, http: HttpRequest): Promise<HttpResponse> {
    const { metrics, authenticator } = this.#services;
    const start = performance.now();
    const call = decodeCall(http.body, 'call');
    this.#check(endpoint, effectiveId, call, http.body.length);
    const decoded = performance.now();
    metrics.stage('decode', (decoded - start) / 1000);
    const senderInfo = authenticator.call(call);
    metrics.stage('verify', (performance.now() - decoded) / 1000);
    const id = toHex(call.requestId);
    try {
      if (!this.#isKnown(id)) {
        const ingress: Ingress = {
          requestId: call.requestId,
          sender: call.sender,
          canisterId: call.canisterId,
          methodName: call.methodName,
          arg: call.arg,
          ingressExpiry: call.ingressExpiry,
          effectiveCanisterId: effectiveId,
          sizeBytes: http.body.length,
          ...(call.nonce === undefined ? {} : { nonce: call.nonce }),
          ...(senderInfo === undefined ? {} : { senderInfo }),
        };
        await this.#submit(id, ingress);
      }
      if (!endpoint.synchronous) return acceptedResponse(endpoint.name);
      return await this.#outcome(endpoint, id, call.requestId);
    } catch (error) {
      if (error instanceof NotAccepted) return cborResponse(endpoint.name, notAcceptedBody(error.error, endpoint));
      throw error;
    }
  }

  #check(endpoint: CallEndpoint, effectiveId: Principal, call: CallRequest, sizeBytes: number): void {
    const { limits, subnet } = this.#services;
    if (endpoint.scope === 'subnet') {
      if (effectiveId.key !== subnet.subnetId.key)
        throw new Refusal(400, 'effective_id', `Subnet ${effectiveId} is not hosted here.`);
      if (!isSubnetCall(call.canisterId, call.methodName))
        throw new Refusal(
          400,
          'effective_id',
          'Only canister creation calls to the management canister can be sent to a subnet.',
        );
    } else checkEffectiveId(call, effectiveId);
    if (sizeBytes > limits.ingressBytes)
      throw new Refusal(
        413,
        'too_large',
        `Request 0x${toHex(call.requestId)} is too large. Message byte size ${sizeBytes} is larger than the max allowed ${limits.ingressBytes}.`,
      );
  }

  #isKnown(id: string): boolean {
    return this.#waiting.has(id) || this.#services.subnet.replica.state.ingressHistory.has(id);
  }

  async #submit(id: string, ingress: Ingress): Promise<void> {
    const { subnet, metrics } = this.#services;
    const start = performance.now();
    const error = await subnet.replica.inspectIngress(ingress);
    metrics.stage('inspect', (performance.now() - start) / 1000);
    if (error !== undefined) throw new NotAccepted(error);
    // Meanwhile the same request may have been submitted by another connection.
    if (this.#isKnown(id)) return;
    if (!subnet.submit(ingress)) throw new Refusal(503, 'overloaded', 'Service is overloaded, try again later.');
  }

  async #outcome(endpoint: CallEndpoint, id: string, requestId: Uint8Array): Promise<HttpResponse> {
    const { subnet, limits, metrics } = this.#services;
    this.#waiting.set(id, (this.#waiting.get(id) ?? 0) + 1);
    const start = performance.now();
    let certified: CertifiedState | undefined;
    try {
      certified = await subnet.completion(id, limits.callWaitMs);
    } finally {
      const others = (this.#waiting.get(id) ?? 1) - 1;
      if (others === 0) this.#waiting.delete(id);
      else this.#waiting.set(id, others);
    }
    const waited = performance.now();
    metrics.stage('wait', (waited - start) / 1000);
    if (certified?.tree.get(pathOf('request_status', requestId, 'status')) === undefined)
      return acceptedResponse(endpoint.name);
    const body = encodeSelfDescribedCbor({
      status: 'replied',
      certificate: certificateOf(certified, [requestStatusPath(requestId)]),
    });
    metrics.stage('encode', (performance.now() - waited) / 1000);
    return cborResponse(endpoint.name, body);
  }
}

/** Refuses a call or query whose effective canister id is not the one that its target requires. */
export function checkEffectiveId(call: CallRequest, effectiveId: Principal): void {
  const required = requiredTarget(call.canisterId, call.methodName, call.arg);
  if (required.kind === 'exactly' && required.id.key !== effectiveId.key)
    throw new Refusal(
      400,
      'effective_id',
      `Specified CanisterId ${required.id} does not match effective canister id in URL ${effectiveId}`,
    );
}

function notAcceptedBody(error: UserError, endpoint: CallEndpoint): Uint8Array {
  return encodeSelfDescribedCbor({
    // The asynchronous endpoint has no status field (interface spec, "Request: Asynchronous Call").
    status: endpoint.synchronous ? 'non_replicated_rejection' : undefined,
    error_code: error.code,
    reject_code: rejectCodeOf(error.code),
    reject_message: error.message.toWellFormed(),
  });
}
