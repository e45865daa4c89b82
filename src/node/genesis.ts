import { sha224 } from '@noble/hashes/sha2.js';
import { canisterIdFromNumber, PROTOCOL_VERSION, Principal, type Time } from '../model/index.ts';
import type { SubnetState } from '../state/index.ts';

/** What is decided when a network comes into being. */
export interface Genesis {
  /** DER-encoded BLS public key of the subnet, which is the network's root key. */
  readonly publicKey: Uint8Array;
  /** DER-encoded Ed25519 public key of the one node. */
  readonly nodePublicKey: Uint8Array;
  readonly time: Time;
  readonly costSchedule: 'normal' | 'free';
  readonly subnetType: 'application' | 'system';
}

/** Ids up to here may be asked for by name (`specified_id`); others are given out from here on, as dfx does. */
const FIRST_CANISTER_NUMBER = 0x8000_0000_0010_0000n;
const LAST_CANISTER_NUMBER = 0xffff_ffff_ffff_ffffn;
/** Fees are those of the reference subnet of the real network, whatever runs here. */
const FEE_SUBNET_SIZE = 13;

/**
 * A network of one subnet that is its own root: its key is the network's key, it certifies without a delegation, and
 * every canister id belongs to it.
 */
export function genesisState(genesis: Genesis): SubnetState {
  return {
    protocolVersion: PROTOCOL_VERSION,
    registryVersion: 1,
    height: 0,
    time: genesis.time,
    stateHash: new Uint8Array(32),
    network: {
      subnetId: selfAuthenticating(genesis.publicKey),
      publicKey: genesis.publicKey,
      rootPublicKey: genesis.publicKey,
      subnetType: genesis.subnetType,
      costSchedule: genesis.costSchedule,
      nodes: [{ nodeId: selfAuthenticating(genesis.nodePublicKey), publicKey: genesis.nodePublicKey }],
      canisterRanges: [{ start: canisterIdFromNumber(0n), end: canisterIdFromNumber(LAST_CANISTER_NUMBER) }],
      feeSubnetSize: FEE_SUBNET_SIZE,
      provisional: true,
    },
    nextCanisterNumber: FIRST_CANISTER_NUMBER,
    nextId: 1n,
    canisters: new Map(),
    ingressHistory: new Map(),
    modules: new Map(),
    managementCalls: [],
    randomness: new Uint8Array(32),
    lastChargeTime: genesis.time,
    cyclesMinted: 0n,
    cyclesBurned: 0n,
  };
}

/** The principal of a public key (interface spec, "Principals", self-authenticating ids). */
export function selfAuthenticating(publicKeyDer: Uint8Array): Principal {
  return Principal.fromBytes(Uint8Array.from([...sha224(publicKeyDer), 2]));
}
