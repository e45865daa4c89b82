import { queryResponsePayload } from '../certification/index.ts';
import { encodeSelfDescribedCbor, equalBytes } from '../codec/index.ts';
import type { Principal, Response, SenderInfo } from '../model/index.ts';
import type { QueryOutcome } from '../replica/index.ts';
import { checkEffectiveId } from './call.ts';
import { certifiedDataOf } from './certificate.ts';
import type { CertifiedState } from './contract.ts';
import { type CallRequest, decodeCall } from './envelope.ts';
import { cborResponse, type HttpRequest, type HttpResponse } from './http-message.ts';
import { isSubnetQuery } from './management-target.ts';
import { Refusal } from './refusal.ts';
import { certifiedInTime, notReady, type Services } from './services.ts';

export interface QueryEndpoint {
  readonly name: string;
  readonly scope: 'canister' | 'subnet';
}

/** A query waits for at most this many newer certificates before it runs with one that does not fit its data. */
const CERTIFICATE_WAITS = 3;

/**
 * Query calls (interface spec, "Request: Query call"): run on the present state, answered under this node's signature
 * once that state is durable.
 */
export class QueryHandler {
  readonly #services: Services;

  constructor(services: Services) {
    this.#services = services;
  }

  answer(endpoint: QueryEndpoint, effectiveId: Principal, http: HttpRequest): Promise<HttpResponse> {
    return this.#services.queries.run(http.body.length, () => this.#answer(endpoint, effectiveId, http));
  }

  async #answer(endpoint: QueryEndpoint, effectiveId: Principal, http: HttpRequest): Promise<HttpResponse> {
    const { subnet, metrics, authenticator } = this.#services;
    const start = performance.now();
    const query = decodeCall(http.body, 'query');
    this.#check(endpoint, effectiveId, query);
    const decoded = performance.now();
    metrics.stage('decode', (decoded - start) / 1000);
    const senderInfo = authenticator.query(query);
    const verified = performance.now();
    metrics.stage('verify', (verified - decoded) / 1000);
    const outcome = await this.#run(query, effectiveId, senderInfo);
    await subnet.durable(outcome.height);
    const executed = performance.now();
    metrics.stage('query', (executed - verified) / 1000);
    const body = this.#signed(outcome.response, query.requestId);
    metrics.stage('sign', (performance.now() - executed) / 1000);
    return cborResponse(endpoint.name, body);
  }

  #check(endpoint: QueryEndpoint, effectiveId: Principal, query: CallRequest): void {
    const { subnet } = this.#services;
    if (endpoint.scope === 'canister') {
      checkEffectiveId(query, effectiveId);
      return;
    }
    if (effectiveId.key !== subnet.subnetId.key)
      throw new Refusal(400, 'effective_id', `Subnet ${effectiveId} is not hosted here.`);
    if (!isSubnetQuery(query.canisterId, query.methodName))
      throw new Refusal(
        400,
        'effective_id',
        'Only list_canisters of the management canister can be queried at a subnet.',
      );
  }

  async #run(query: CallRequest, effectiveId: Principal, senderInfo: SenderInfo | undefined): Promise<QueryOutcome> {
    const { subnet, dataCertificates } = this.#services;
    const certified = await this.#certificateFor(query.canisterId);
    return subnet.replica.query({
      sender: query.sender,
      canisterId: query.canisterId,
      effectiveCanisterId: effectiveId,
      method: query.methodName,
      arg: query.arg,
      dataCertificate: dataCertificates.of(certified, query.canisterId),
      ...(senderInfo === undefined ? {} : { senderInfo }),
    });
  }

  /**
   * A certified state with the same certified data as the canister has now: the certificate that the query sees must
   * be one for the memory that it sees.
   */
  async #certificateFor(canisterId: Principal): Promise<CertifiedState> {
    const { subnet } = this.#services;
    let certified = subnet.certified();
    for (let waits = 0; certified !== undefined && waits < CERTIFICATE_WAITS; waits++) {
      const { state } = subnet.replica;
      if (certified.height >= state.height) return certified;
      const present = state.canisters.get(canisterId.key)?.certifiedData;
      if (present === undefined) return certified;
      const known = certifiedDataOf(certified, canisterId);
      if (known !== undefined && equalBytes(known, present)) return certified;
      certified = await certifiedInTime(this.#services, state.height);
    }
    if (certified === undefined) throw notReady();
    return certified;
  }

  #signed(outcome: Response, requestId: Uint8Array): Uint8Array {
    const { subnet } = this.#services;
    const response = inWellFormedText(outcome);
    const timestamp = subnet.now();
    const signature = subnet.signAsNode(queryResponsePayload(response, timestamp, requestId));
    const signatures = [{ timestamp, signature, identity: subnet.nodeId }];
    if (response.kind === 'reply')
      return encodeSelfDescribedCbor({ status: 'replied', reply: { arg: response.data }, signatures });
    const { rejectCode, message, errorCode } = response.reject;
    return encodeSelfDescribedCbor({
      status: 'rejected',
      reject_code: rejectCode,
      reject_message: message,
      error_code: errorCode,
      signatures,
    });
  }
}

/** A text with half a character in it could be hashed but not sent. */
function inWellFormedText(response: Response): Response {
  if (response.kind === 'reply' || response.reject.message.isWellFormed()) return response;
  return { kind: 'reject', reject: { ...response.reject, message: response.reject.message.toWellFormed() } };
}
