import { encodeCertificate, type Path, pathOf } from '../certification/index.ts';
import type { Principal } from '../model/index.ts';
import type { CertifiedState } from './contract.ts';

const TIME: Path = pathOf('time');

/** A certificate (CBOR) that reveals `/time` and all of `paths` (interface spec, "Certificate"). */
export function certificateOf(certified: CertifiedState, paths: readonly Path[]): Uint8Array {
  const tree = certified.tree.witness([TIME, ...paths]);
  return encodeCertificate({ tree, signature: certified.signature, delegation: certified.delegation });
}

export function requestStatusPath(requestId: Uint8Array): Path {
  return pathOf('request_status', requestId);
}

function certifiedDataPath(canisterId: Principal): Path {
  return pathOf('canister', canisterId.bytes, 'certified_data');
}

/** The certified data of a canister in a state; undefined when it has none. */
export function certifiedDataOf(certified: CertifiedState, canisterId: Principal): Uint8Array | undefined {
  return certified.tree.get(certifiedDataPath(canisterId));
}

/** Certificates of the data of canisters, kept as long as their state is: queries of one state share them. */
export class DataCertificates {
  readonly #made = new WeakMap<CertifiedState, Map<string, Uint8Array>>();

  of(certified: CertifiedState, canisterId: Principal): Uint8Array {
    let made = this.#made.get(certified);
    if (made === undefined) {
      made = new Map();
      this.#made.set(certified, made);
    }
    let certificate = made.get(canisterId.key);
    if (certificate === undefined) {
      certificate = certificateOf(certified, [certifiedDataPath(canisterId)]);
      made.set(canisterId.key, certificate);
    }
    return certificate;
  }
}
