import { queryResponsePayload } from '../certification/index.ts';
import { encodeSelfDescribedCbor, equalBytes } from '../codec/index.ts';
import type { Principal, Response, SenderInfo } from '../model/index.ts';
import type { Query, QueryOutcome } from '../replica/index.ts';
import { checkEffectiveId } from './call.ts';
import { certifiedDataOf } from './certificate.ts';
import { type CallRequest, decodeCall } from './envelope.ts';
import { cborResponse, type HttpRequest, type HttpResponse } from './http-message.ts';
import { isSubnetQuery } from './management-target.ts';
import { Refusal } from './refusal.ts';
import { certifiedInTime, notReady, type Services } from './services.ts';

export interface QueryEndpoint {
  readonly name: string;
  readonly scope: 'canister' | 'subnet';
}

const NOTHING = new Uint8Array(0);
/** Where data changes with every round a query may find it uncertified again and again; then it is answered as it is. */
const RUNS_MAX = 4;

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

  /** Runs the query, again if it began before its data was certified. */
  async #run(call: CallRequest, effectiveId: Principal, senderInfo: SenderInfo | undefined): Promise<QueryOutcome> {
    const { subnet } = this.#services;
    if (subnet.certified() === undefined) throw notReady();
    for (let runs = 1; ; runs++) {
      const query = new CertifiedQuery(this.#services, call, effectiveId, senderInfo);
      const outcome = await subnet.replica.query(query);
      if (!query.aheadOfCertificate || runs === RUNS_MAX) return outcome;
      await certifiedInTime(this.#services, outcome.height);
    }
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

/** A query whose certificate is looked up at the moment when it begins, on the very state that it runs on. */
class CertifiedQuery implements Query {
  readonly sender: Principal;
  readonly canisterId: Principal;
  readonly effectiveCanisterId: Principal;
  readonly method: string;
  readonly arg: Uint8Array;
  readonly senderInfo?: SenderInfo;
  /** Whether the canister's certified data was newer than the newest certificate. */
  aheadOfCertificate = false;
  readonly #services: Services;

  constructor(services: Services, call: CallRequest, effectiveId: Principal, senderInfo: SenderInfo | undefined) {
    this.#services = services;
    this.sender = call.sender;
    this.canisterId = call.canisterId;
    this.effectiveCanisterId = effectiveId;
    this.method = call.methodName;
    this.arg = call.arg;
    if (senderInfo !== undefined) this.senderInfo = senderInfo;
  }

  get dataCertificate(): Uint8Array {
    const { subnet, dataCertificates } = this.#services;
    const certified = subnet.certified();
    if (certified === undefined) throw notReady();
    const present = subnet.replica.state.canisters.get(this.canisterId.key)?.certifiedData ?? NOTHING;
    this.aheadOfCertificate = !equalBytes(certifiedDataOf(certified, this.canisterId) ?? NOTHING, present);
    return dataCertificates.of(certified, this.canisterId);
  }
}
