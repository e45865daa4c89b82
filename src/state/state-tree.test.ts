import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lookup_path, lookupCanisterRanges } from '@icp-sdk/core/agent';
import { Principal as ClientPrincipal } from '@icp-sdk/core/principal';
import fc from 'fast-check';
import { decodeCanisterRanges, type HashTree, lookupPath, pathOf, reconstruct } from '../certification/index.ts';
import { decodeCbor, decodeUleb128, textOf, toHex, utf8 } from '../codec/index.ts';
import { ANONYMOUS, canisterIdFromNumber, ErrorCode, type IngressStatus, Principal } from '../model/index.ts';
import type { CanisterCode, CanisterState } from './canister-state.ts';
import { PageMap } from './page-map.ts';
import { StateTree } from './state-tree.ts';
import type { SubnetState } from './subnet-state.ts';

const subnetId = Principal.fromBytes(new Uint8Array(29).fill(7));
const nodeId = Principal.fromBytes(new Uint8Array(29).fill(8));
const range = { start: canisterIdFromNumber(0n), end: canisterIdFromNumber(2n ** 40n) };

function newState(): SubnetState {
  return {
    protocolVersion: 1,
    registryVersion: 1,
    height: 0,
    time: 1n,
    stateHash: new Uint8Array(32),
    network: {
      subnetId,
      publicKey: new Uint8Array(133).fill(1),
      rootPublicKey: new Uint8Array(133).fill(1),
      subnetType: 'application',
      costSchedule: 'normal',
      nodes: [{ nodeId, publicKey: new Uint8Array(44).fill(2) }],
      canisterRanges: [range],
      feeSubnetSize: 13,
      provisional: true,
    },
    nextCanisterNumber: 0n,
    nextId: 0n,
    canisters: new Map(),
    ingressHistory: new Map(),
    modules: new Map(),
    managementCalls: [],
    randomness: new Uint8Array(32),
    lastChargeTime: 0n,
    cyclesMinted: 0n,
    cyclesBurned: 2n ** 64n + 5n,
  };
}

function newCanister(id: Principal, createdAt: bigint): CanisterState {
  // Only what the tree looks at; the rest of a canister's state does not matter here.
  return {
    id,
    createdAt,
    settings: { controllers: [ANONYMOUS] },
    code: undefined,
    heap: new PageMap(),
    stable: new PageMap(),
    certifiedData: new Uint8Array(0),
    chunkStore: new Map(),
  } as unknown as CanisterState;
}

function code(seed: number): CanisterCode {
  return {
    moduleHash: seed.toString(16).padStart(64, '0'),
    installedAt: BigInt(seed),
    customSections: [
      { name: 'candid:service', visibility: 'public', content: utf8(`service ${seed}`) },
      { name: 'secret', visibility: 'private', content: new Uint8Array(seed) },
    ],
  };
}

function addRequest(state: SubnetState, id: string, status: IngressStatus): void {
  state.ingressHistory.set(id, {
    sender: ANONYMOUS,
    canisterId: nodeId,
    effectiveCanisterId: nodeId,
    expiry: 0n,
    status,
  });
}

type Step =
  | {
      readonly do: 'create' | 'delete' | 'install' | 'uninstall' | 'certify' | 'grow' | 'control';
      readonly n: number;
      readonly value: number;
    }
  | { readonly do: 'request'; readonly n: number; readonly value: number }
  | { readonly do: 'forget'; readonly n: number; readonly value: number };

const step: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom('create', 'delete', 'install', 'uninstall', 'certify', 'grow', 'control', 'request', 'forget'),
  n: fc.nat(7),
  value: fc.nat(50),
});

const statuses = (value: number): IngressStatus =>
  [
    { status: 'received' } as const,
    { status: 'processing' } as const,
    { status: 'done' } as const,
    { status: 'replied', reply: new Uint8Array(value) } as const,
    {
      status: 'rejected',
      reject: { rejectCode: 5, message: `trap ${value}`, errorCode: ErrorCode.CanisterTrapped },
    } as const,
    { status: 'rejected', reject: { rejectCode: 4, message: 'no' } } as const,
  ][value % 6] ?? { status: 'received' };

function apply(state: SubnetState, { do: what, n, value }: Step): { canisters: string[]; requests: string[] } {
  const id = canisterIdFromNumber(BigInt(n));
  const request = n.toString(16).padStart(64, '0');
  if (what === 'request') addRequest(state, request, statuses(value));
  else if (what === 'forget') state.ingressHistory.delete(request);
  else if (what === 'create') state.canisters.set(id.key, newCanister(id, BigInt(value)));
  else if (what === 'delete') state.canisters.delete(id.key);
  else {
    const canister = state.canisters.get(id.key);
    if (canister !== undefined) {
      if (what === 'install') canister.code = code(value);
      if (what === 'uninstall') canister.code = undefined;
      if (what === 'certify') canister.certifiedData = new Uint8Array(value % 33).fill(value);
      if (what === 'grow') canister.heap.resize(value);
      if (what === 'control') canister.settings.controllers = [nodeId, subnetId].slice(0, value % 3);
    }
  }
  return what === 'request' || what === 'forget'
    ? { canisters: [], requests: [request] }
    : { canisters: [id.key], requests: [] };
}

describe('state tree', () => {
  it('has the same root updated round by round and built anew', () => {
    fc.assert(
      fc.property(fc.array(fc.array(step, { maxLength: 5 }), { maxLength: 12 }), (rounds) => {
        const state = newState();
        const tree = StateTree.of(state);
        const past: [HashTree, string][] = [];
        for (const steps of rounds) {
          state.time += 1n;
          const changes = steps.map((item) => apply(state, item));
          const made = tree.update(state, {
            canisters: changes.flatMap((change) => change.canisters),
            requests: changes.flatMap((change) => change.requests),
          });
          assert.equal(tree.tree, made);
          assert.equal(toHex(made.rootHash), toHex(StateTree.of(state).tree.rootHash));
          past.push([made.witness([[]]), toHex(made.rootHash)]);
        }
        for (const [witness, root] of past) assert.equal(toHex(reconstruct(witness)), root);
      }),
      { numRuns: 60 },
    );
  });

  it('keeps showing the state it was made of, whatever happens to the state', () => {
    const state = newState();
    const id = canisterIdFromNumber(3n);
    const canister = newCanister(id, 4n);
    state.canisters.set(id.key, canister);
    addRequest(state, '00'.repeat(32), { status: 'received' });
    canister.certifiedData = utf8('before');
    const { tree } = StateTree.of(state);
    const root = toHex(tree.rootHash);
    canister.certifiedData.fill(0);
    canister.settings.controllers = [];
    canister.code = code(1);
    const record = state.ingressHistory.get('00'.repeat(32));
    if (record !== undefined) record.status = { status: 'done' };
    assert.equal(toHex(reconstruct(tree.witness([[]]))), root);
    assert.deepEqual(tree.get(pathOf('canister', id.bytes, 'certified_data')), utf8('before'));
  });

  it('holds what the specification says, in its encodings', () => {
    const state = newState();
    const id = canisterIdFromNumber(3n);
    const canister = newCanister(id, 300n);
    state.canisters.set(id.key, canister);
    state.executedMessages = 9n;
    canister.heap.resize(2);
    canister.code = code(5);
    addRequest(state, 'aa'.repeat(32), { status: 'replied', reply: utf8('yes') });
    addRequest(state, 'bb'.repeat(32), {
      status: 'rejected',
      reject: { rejectCode: 5, message: 'IC0503: no', errorCode: ErrorCode.CanisterCalledTrap },
    });
    const { tree } = StateTree.of(state);
    const text = (...path: (string | Uint8Array)[]): string | undefined =>
      textOf(tree.get(pathOf(...path)) ?? Uint8Array.of(255));
    const nat = (...path: (string | Uint8Array)[]): bigint =>
      decodeUleb128(tree.get(pathOf(...path)) ?? new Uint8Array(0)).value;
    assert.equal(nat('time'), 1n);
    assert.equal(text('subnet', subnetId.bytes, 'type'), 'application');
    assert.deepEqual(tree.get(pathOf('subnet', subnetId.bytes, 'public_key')), state.network.publicKey);
    assert.deepEqual(
      tree.get(pathOf('subnet', subnetId.bytes, 'node', nodeId.bytes, 'public_key')),
      new Uint8Array(44).fill(2),
    );
    const ranges = tree.get(pathOf('subnet', subnetId.bytes, 'canister_ranges'));
    assert.deepEqual(decodeCanisterRanges(ranges ?? new Uint8Array(0)), [range]);
    assert.deepEqual(tree.get(pathOf('canister_ranges', subnetId.bytes, range.start.bytes)), ranges);
    assert.deepEqual(
      decodeCbor(tree.get(pathOf('subnet', subnetId.bytes, 'metrics')) ?? new Uint8Array(0)),
      new Map<bigint, unknown>([
        [0n, 1n],
        [1n, 131072n + 14n],
        [
          2n,
          new Map([
            [0n, 5n],
            [1n, 1n],
          ]),
        ],
        [3n, 9n],
      ]),
    );
    const at = (...path: string[]): [string, Uint8Array, ...string[]] => ['canister', id.bytes, ...path];
    assert.deepEqual(tree.get(pathOf(...at('certified_data'))), new Uint8Array(0));
    assert.equal(toHex(tree.get(pathOf(...at('controllers'))) ?? new Uint8Array(0)), 'd9d9f7814104');
    assert.equal(toHex(tree.get(pathOf(...at('module_hash'))) ?? new Uint8Array(0)), '5'.padStart(64, '0'));
    assert.equal(nat(...at('canister_creation_timestamp')), 300n);
    assert.equal(nat(...at('last_install_timestamp')), 5n);
    assert.equal(text(...at('metadata', 'candid:service')), 'service 5');
    assert.deepEqual(tree.get(pathOf(...at('metadata', 'secret'))), new Uint8Array(5));
    const replied = new Uint8Array(32).fill(0xaa);
    assert.equal(text('request_status', replied, 'status'), 'replied');
    assert.equal(text('request_status', replied, 'reply'), 'yes');
    const rejected = new Uint8Array(32).fill(0xbb);
    assert.equal(text('request_status', rejected, 'status'), 'rejected');
    assert.equal(nat('request_status', rejected, 'reject_code'), 5n);
    assert.equal(text('request_status', rejected, 'reject_message'), 'IC0503: no');
    assert.equal(text('request_status', rejected, 'error_code'), 'IC0503');
  });

  it('proves absence where there is nothing yet, and is read by the official client', () => {
    const state = newState();
    const { tree } = StateTree.of(state);
    const absent = pathOf('request_status', new Uint8Array(32), 'status');
    assert.equal(lookupPath(absent, tree.witness([absent])).kind, 'absent');
    assert.equal(lookup_path([...absent], tree.witness([absent]) as never).status, 'Absent');
    const module = pathOf('canister', canisterIdFromNumber(3n).bytes, 'module_hash');
    assert.equal(lookup_path([...module], tree.witness([module]) as never).status, 'Absent');
    const shard = tree.witness([pathOf('canister_ranges', subnetId.bytes)]);
    const ranges = lookupCanisterRanges({
      subnetId: ClientPrincipal.fromUint8Array(subnetId.bytes),
      tree: shard as never,
      canisterId: ClientPrincipal.fromUint8Array(canisterIdFromNumber(5n).bytes),
    });
    assert.deepEqual(decodeCanisterRanges(ranges), [range]);
  });
});
