import { LabelledTree, pathOf } from '../../certification/index.ts';
import { concatBytes, fromHex, sha256, toHex, utf8 } from '../../codec/index.ts';
import {
  type Batch,
  canisterIdFromNumber,
  PAGE_BYTES,
  PROTOCOL_VERSION,
  Principal,
  type Time,
} from '../../model/index.ts';
import type { Replica, RoundOutcome } from '../../replica/index.ts';
import { type CanisterState, PageMap, type SubnetState } from '../../state/index.ts';

/**
 * A replica that only counts, for tests and benchmarks of the engine: each message writes its request id into the next
 * page of one memory, so that a lost message, or one applied twice, shows in the state hash and in the pages.
 */
export class CountingReplica implements Replica {
  readonly state: SubnetState;
  tree: LabelledTree;
  busy = false;
  deadline: Time | undefined;
  /** Awaited in every round: lets a test hold a round. */
  gate: Promise<void> | undefined;
  readonly batches: Batch[] = [];
  readonly #canister: CanisterState;

  constructor(state: SubnetState) {
    this.state = state;
    const canister = [...state.canisters.values()][0];
    if (canister === undefined) throw new Error('the counting replica needs its canister');
    this.#canister = canister;
    this.tree = this.#wholeTree();
  }

  async execute(batch: Batch): Promise<RoundOutcome> {
    const { state } = this;
    if (batch.height !== state.height + 1) throw new Error(`height ${batch.height} follows ${state.height}`);
    if (batch.time <= state.time) throw new Error('time does not rise');
    const completed: string[] = [];
    for (const ingress of batch.ingress) {
      const requestId = toHex(ingress.requestId);
      if (state.ingressHistory.has(requestId)) throw new Error('a message came twice');
      const page = new Uint8Array(PAGE_BYTES);
      page.set(ingress.requestId);
      this.#canister.heap.write(Number(this.#canister.version), page, 0);
      this.#canister.version++;
      this.#canister.heap.resize(Math.ceil(Number(this.#canister.version) / 16));
      state.ingressHistory.set(requestId, {
        sender: ingress.sender,
        canisterId: ingress.canisterId,
        effectiveCanisterId: ingress.effectiveCanisterId,
        expiry: ingress.ingressExpiry,
        status: { status: 'replied', reply: utf8(String(this.#canister.version)) },
      });
      this.tree = this.tree.set(pathOf('request_status', ingress.requestId, 'status'), utf8('replied'));
      completed.push(requestId);
    }
    if (this.gate !== undefined) await this.gate;
    this.batches.push(batch);
    if (this.deadline !== undefined && this.deadline <= batch.time) this.deadline = undefined;
    const digest = sha256(concatBytes(...batch.ingress.map((ingress) => ingress.requestId)));
    state.height = batch.height;
    state.time = batch.time;
    state.stateHash = sha256(concatBytes(state.stateHash, digest, batch.randomness, utf8(String(batch.time))));
    this.tree = this.tree.set(pathOf('time'), utf8(String(batch.time)));
    return {
      height: batch.height,
      time: batch.time,
      certifiedRoot: this.tree.rootHash,
      stateHash: state.stateHash,
      canisterDigests: completed.length === 0 ? [] : [[this.#canister.id.key, digest]],
      completed,
      executedMessages: completed.length,
      instructions: 0n,
      logs: [],
    };
  }

  query(): never {
    throw new Error('it only counts');
  }

  inspectIngress(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  nextDeadline(): Time | undefined {
    return this.deadline;
  }

  /** Request ids in the order in which they were applied, as the memory has them. */
  applied(): string[] {
    return [...this.#canister.heap.pages()].map((page) =>
      toHex((this.#canister.heap.view(page) ?? new Uint8Array(32)).subarray(0, 32)),
    );
  }

  #wholeTree(): LabelledTree {
    let tree = LabelledTree.empty.set(pathOf('time'), utf8(String(this.state.time)));
    for (const requestId of this.state.ingressHistory.keys())
      tree = tree.set(pathOf('request_status', fromHex(requestId), 'status'), utf8('replied'));
    return tree;
  }
}

/** The state that the counting replica begins with: one canister, empty. */
export function countingGenesis(): SubnetState {
  const id = canisterIdFromNumber(1n);
  const canister: CanisterState = {
    id,
    version: 0n,
    createdAt: 0n,
    settings: {
      controllers: [],
      computeAllocation: 0n,
      memoryAllocation: 0n,
      freezingThresholdSeconds: 0n,
      reservedCyclesLimit: 0n,
      minimumIncomingCanisterCallCycles: 0n,
      logVisibility: { kind: 'controllers' },
      snapshotVisibility: { kind: 'controllers' },
      statusVisibility: { kind: 'controllers' },
      wasmMemoryLimit: 0n,
      wasmMemoryThreshold: 0n,
      logMemoryLimit: 0n,
      environmentVariables: [],
    },
    status: { kind: 'running' },
    balance: 0n,
    reservedBalance: 0n,
    code: undefined,
    heap: new PageMap(),
    stable: new PageMap(),
    wasmState: undefined,
    generation: 0,
    certifiedData: new Uint8Array(0),
    globalTimer: 0n,
    lastHeartbeat: 0n,
    lowMemoryHook: 'condition_not_satisfied',
    input: [],
    callContexts: new Map(),
    callbacks: new Map(),
    outstanding: new Map(),
    paused: undefined,
    history: [],
    totalChanges: 0n,
    chunkStore: new Map(),
    logs: [],
    nextLogIndex: 0n,
    snapshots: new Map(),
    queryStats: { calls: 0n, instructions: 0n, requestBytes: 0n, responseBytes: 0n },
    installDebit: 0n,
  };
  const key = new Uint8Array(133);
  return {
    protocolVersion: PROTOCOL_VERSION,
    registryVersion: 1,
    height: 0,
    time: 1n,
    stateHash: new Uint8Array(32),
    network: {
      subnetId: Principal.fromBytes(Uint8Array.of(1)),
      publicKey: key,
      rootPublicKey: key,
      subnetType: 'application',
      costSchedule: 'normal',
      nodes: [],
      canisterRanges: [],
      feeSubnetSize: 13,
      provisional: true,
    },
    nextCanisterNumber: 2n,
    nextId: 1n,
    canisters: new Map([[id.key, canister]]),
    ingressHistory: new Map(),
    modules: new Map(),
    managementCalls: [],
    randomness: new Uint8Array(32),
    lastChargeTime: 0n,
    cyclesMinted: 0n,
    cyclesBurned: 0n,
  };
}
