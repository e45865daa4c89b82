import { type Path, pathOf } from '../certification/index.ts';
import { encodeSelfDescribedCbor, equalBytes, utf8 } from '../codec/index.ts';
import type { Principal } from '../model/index.ts';
import { certificateOf } from './certificate.ts';
import type { CertifiedState } from './contract.ts';
import { decodeReadState } from './envelope.ts';
import { cborResponse, type HttpRequest, type HttpResponse } from './http-message.ts';
import { authorizePaths, type Reader } from './readable-paths.ts';
import { Refusal } from './refusal.ts';
import { certifiedInTime, notReady, type Services } from './services.ts';

export interface ReadStateEndpoint {
  readonly name: string;
  readonly scope: 'canister' | 'subnet';
  readonly version: 2 | 3;
}

const SUBNET = utf8('subnet');
const CANISTER_RANGES = utf8('canister_ranges');

/** Certified reads of the state tree (interface spec, "Request: Read state"). */
export class ReadStateHandler {
  readonly #services: Services;

  constructor(services: Services) {
    this.#services = services;
  }

  answer(endpoint: ReadStateEndpoint, effectiveId: Principal, http: HttpRequest): Promise<HttpResponse> {
    return this.#services.reads.run(http.body.length, () => this.#answer(endpoint, effectiveId, http));
  }

  async #answer(endpoint: ReadStateEndpoint, effectiveId: Principal, http: HttpRequest): Promise<HttpResponse> {
    const { subnet, metrics, authenticator, limits } = this.#services;
    const start = performance.now();
    const read = decodeReadState(http.body, limits);
    if (endpoint.scope === 'subnet' && effectiveId.key !== subnet.subnetId.key)
      throw new Refusal(400, 'effective_id', `Subnet ${effectiveId} is not hosted here.`);
    const decoded = performance.now();
    metrics.stage('decode', (decoded - start) / 1000);
    const actsFor = authenticator.readState(read);
    const verified = performance.now();
    metrics.stage('verify', (verified - decoded) / 1000);
    if (subnet.certified() === undefined) throw notReady();
    const certified = await this.#authorized(read.paths, {
      sender: read.sender,
      actsFor,
      scope: endpoint.scope,
      version: endpoint.version,
      effectiveId,
      rootSubnetId: this.#services.rootSubnetId,
    });
    const authorized = performance.now();
    metrics.stage('wait', (authorized - verified) / 1000);
    const paths = endpoint.version === 2 ? read.paths : this.#withoutForeignRanges(read.paths, certified);
    const body = encodeSelfDescribedCbor({ certificate: certificateOf(certified, paths) });
    metrics.stage('encode', (performance.now() - authorized) / 1000);
    return cborResponse(endpoint.name, body);
  }

  /** A certified state of which `reader` may be shown the paths. @throws Refusal */
  async #authorized(paths: readonly Path[], reader: Reader): Promise<CertifiedState> {
    const { subnet, limits } = this.#services;
    // What may never be read is refused before anything is waited for.
    authorizePaths(paths, reader, subnet.replica.state);
    const certified = await subnet.refresh(limits.certificateAgeMs);
    const { state } = subnet.replica;
    if (!authorizePaths(paths, reader, state) || certified.height >= state.height) return certified;
    const newer = await certifiedInTime(this.#services, state.height);
    if (newer === undefined) throw notReady();
    authorizePaths(paths, reader, subnet.replica.state);
    return newer;
  }

  /**
   * From version 3 on `/subnet/<id>/canister_ranges` is shown for the root subnet only: paths that would reveal it
   * for others are replaced by those of its neighbours.
   */
  #withoutForeignRanges(paths: readonly Path[], certified: CertifiedState): readonly Path[] {
    const { rootSubnetId } = this.#services;
    return paths.flatMap((path) => {
      const [first, id] = path;
      if (path.length > 2 || first === undefined || !equalBytes(first, SUBNET)) return [path];
      const subnets = certified.tree.subtree([SUBNET]);
      if (subnets === undefined) return [path];
      const ids = id === undefined ? [...subnets.children()].map(([label]) => label) : [id];
      const foreign = ids.filter(
        (label) => !equalBytes(label, rootSubnetId.bytes) && subnets.subtree([label, CANISTER_RANGES]) !== undefined,
      );
      if (foreign.length === 0) return [path];
      return ids.flatMap((label): Path[] => {
        if (!foreign.includes(label)) return [[SUBNET, label]];
        const fields = [...(subnets.subtree([label])?.children() ?? [])].map(([field]) => field);
        return fields
          .filter((field) => !equalBytes(field, CANISTER_RANGES))
          .map((field) => pathOf('subnet', label, field));
      });
    });
  }
}
