import { decodeState, encodeState, sha256, toHex, utf8 } from '../codec/index.ts';
import {
  type Batch,
  type Cycles,
  canisterIdFromNumber,
  DEFAULT_LIMITS,
  type Ingress,
  type Limits,
  type OperatorDecision,
  PROTOCOL_VERSION,
  Principal,
  type Response,
  type Time,
} from '../model/index.ts';
import type { Sandbox } from '../sandbox/index.ts';
import { type CanisterState, PageMap, type SubnetState } from '../state/index.ts';
import type { RoundOutcome } from './contract.ts';
import type { Management, ManagementOutcome } from './management/index.ts';
import { SubnetReplica } from './replica.ts';

/** A subnet in memory for tests of the round: canisters are put into the state directly, batches are made here. */

export const SECOND = 1_000_000_000n;
const START: Time = 1_700_000_000n * SECOND;
const SUBNET = Principal.fromBytes(Uint8Array.of(9, 9, 9, 1));
export const USER: Principal = Principal.fromBytes(new Uint8Array(29).fill(7).with(28, 2));

export function newState(options: { readonly free?: boolean } = {}): SubnetState {
  return {
    protocolVersion: PROTOCOL_VERSION,
    registryVersion: 1,
    height: 0,
    time: START,
    stateHash: new Uint8Array(32),
    network: {
      subnetId: SUBNET,
      publicKey: new Uint8Array(133),
      rootPublicKey: new Uint8Array(133),
      subnetType: 'application',
      costSchedule: options.free === true ? 'free' : 'normal',
      nodes: [],
      canisterRanges: [{ start: canisterIdFromNumber(0n), end: canisterIdFromNumber(0xfffffn) }],
      feeSubnetSize: 13,
      provisional: true,
    },
    nextCanisterNumber: 0n,
    nextId: 1n,
    canisters: new Map(),
    ingressHistory: new Map(),
    modules: new Map(),
    managementCalls: [],
    randomness: new Uint8Array(32),
    lastChargeTime: START,
    cyclesMinted: 0n,
    cyclesBurned: 0n,
  };
}

/** Puts a running canister with the script `name` into a state. */
export function addCanister(state: SubnetState, name: string | undefined, cycles: Cycles = 10n ** 15n): CanisterState {
  const id = canisterIdFromNumber(state.nextCanisterNumber);
  state.nextCanisterNumber += 1n;
  state.cyclesMinted += cycles;
  const canister: CanisterState = {
    id,
    version: 1n,
    createdAt: state.time,
    settings: {
      controllers: [USER],
      computeAllocation: 0n,
      memoryAllocation: 0n,
      freezingThresholdSeconds: 2_592_000n,
      reservedCyclesLimit: 5n * 10n ** 12n,
      minimumIncomingCanisterCallCycles: 0n,
      logVisibility: { kind: 'controllers' },
      snapshotVisibility: { kind: 'controllers' },
      statusVisibility: { kind: 'controllers' },
      wasmMemoryLimit: 0n,
      wasmMemoryThreshold: 0n,
      logMemoryLimit: 4096n,
      environmentVariables: [],
    },
    status: { kind: 'running' },
    balance: cycles,
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
  state.canisters.set(id.key, canister);
  if (name !== undefined) install(state, canister, name);
  return canister;
}

export function install(state: SubnetState, canister: CanisterState, name: string): void {
  const bytes = utf8(name);
  const moduleHash = toHex(sha256(bytes));
  state.modules.set(moduleHash, bytes);
  canister.code = { moduleHash, installedAt: state.time, customSections: [] };
}

/** Cycles in every place where they can be: equal to what was minted less what was burned, after every round. */
export function cyclesIn(state: SubnetState): Cycles {
  let sum = 0n;
  for (const canister of state.canisters.values()) {
    sum += canister.balance + canister.reservedBalance + (canister.paused?.prepaid ?? 0n);
    for (const context of canister.callContexts.values()) sum += context.cyclesAvailable;
    for (const callback of canister.callbacks.values()) sum += callback.prepaid;
    for (const input of canister.input) {
      if (input.kind === 'request') sum += input.cycles;
      if (input.kind === 'response') sum += input.refund;
    }
  }
  for (const call of state.managementCalls) sum += call.cycles;
  return sum;
}

/** The management methods that tests of the round need; the real ones are tested with the management canister. */
export class SmallManagement implements Management {
  async execute(...[call, host]: Parameters<Management['execute']>): Promise<ManagementOutcome> {
    const reply = (data: Uint8Array = new Uint8Array(0)): ManagementOutcome => ({
      kind: 'response',
      response: { kind: 'reply', data },
    });
    const target = this.target(call.method, call.arg);
    const canister = target === undefined ? undefined : host.state.canisters.get(target.key);
    switch (call.method) {
      case 'raw_rand':
        return call.receivedAt === host.state.time ? { kind: 'pending', wakeAt: 0n } : reply(host.state.randomness);
      case 'stop':
        if (canister === undefined) return reply();
        if (canister.status.kind === 'running') canister.status = { kind: 'stopping', waiting: [] };
        if (canister.callContexts.size > 0 || canister.paused !== undefined)
          return { kind: 'pending', wakeAt: call.receivedAt + host.limits.stopCanisterTimeoutNanos };
        canister.status = { kind: 'stopped' };
        host.changed(canister.id);
        return reply();
      case 'start':
        if (canister === undefined) return reply();
        canister.status = { kind: 'running' };
        host.changed(canister.id);
        return reply();
      case 'uninstall':
        if (canister !== undefined) this.outOfCycles(canister, host);
        return reply();
      case 'delete':
        if (canister === undefined) return reply();
        host.state.cyclesBurned += canister.balance;
        host.state.canisters.delete(canister.id.key);
        host.changed(canister.id, 'all');
        return reply();
      case 'deposit':
        if (canister === undefined) return reply();
        canister.balance += call.cycles;
        call.cycles = 0n;
        host.changed(canister.id);
        return reply();
      default:
        return {
          kind: 'response',
          response: { kind: 'reject', reject: { rejectCode: 4, message: 'no such method', errorCode: 'IC0407' } },
        };
    }
  }

  inspect(): undefined {
    return undefined;
  }

  query(): Response {
    return { kind: 'reply', data: utf8('managed') };
  }

  target(method: string, arg: Uint8Array): Principal | undefined {
    return method === 'raw_rand' ? undefined : Principal.fromBytes(arg);
  }

  outOfCycles(...[canister, host]: Parameters<Management['outOfCycles']>): void {
    canister.code = undefined;
    canister.wasmState = undefined;
    canister.heap = new PageMap();
    canister.stable = new PageMap();
    canister.generation += 1;
    canister.globalTimer = 0n;
    host.rejectOpenCalls(canister, { code: 'IC0406', message: 'Canister has been uninstalled.' });
    host.changed(canister.id, 'all');
  }
}

/** A replica with its batches. */
export class TestSubnet {
  readonly limits: Limits;
  readonly sandbox: Sandbox;
  readonly management: Management;
  replica: SubnetReplica;
  readonly batches: Batch[] = [];
  readonly #letOthersRun: () => Promise<void>;
  #nonce = 0;

  constructor(
    state: SubnetState,
    sandbox: Sandbox,
    options: {
      readonly limits?: Partial<Limits>;
      readonly management?: Management;
      readonly letOthersRun?: () => Promise<void>;
    } = {},
  ) {
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.sandbox = sandbox;
    this.management = options.management ?? new SmallManagement();
    this.#letOthersRun = options.letOthersRun ?? (() => Promise.resolve());
    this.replica = this.#open(state);
  }

  get state(): SubnetState {
    return this.replica.state;
  }

  #open(state: SubnetState): SubnetReplica {
    return new SubnetReplica({
      state,
      sandbox: this.sandbox,
      limits: this.limits,
      management: this.management,
      letOthersRun: () => this.#letOthersRun(),
    });
  }

  /** As after a stop and a start: only what is in the state is left. */
  async restart(): Promise<void> {
    const { state } = this;
    await this.replica.close();
    for (const canister of state.canisters.values()) this.sandbox.evict(canister.id);
    this.replica = this.#open(copyState(state));
  }

  message(canisterId: Principal, methodName: string, arg: Uint8Array = new Uint8Array(0)): Ingress {
    this.#nonce += 1;
    return {
      requestId: sha256(utf8(`request ${this.#nonce}`)),
      sender: USER,
      canisterId,
      methodName,
      arg,
      ingressExpiry: this.state.time + 240n * SECOND,
      effectiveCanisterId: canisterId,
      sizeBytes: 100,
    };
  }

  /** Executes a batch that makes up for the rest from the state. */
  async round(
    ingress: readonly Ingress[] = [],
    after: Time = SECOND / 10n,
    operatorDecisions: readonly OperatorDecision[] = [],
  ): Promise<RoundOutcome> {
    const height = this.state.height + 1;
    const batch: Batch = {
      height,
      protocolVersion: PROTOCOL_VERSION,
      registryVersion: 1,
      time: this.state.time + after,
      randomness: sha256(utf8(`randomness ${height}`)),
      checkpoint: false,
      ingress,
      operatorDecisions,
    };
    this.batches.push(batch);
    return this.replica.execute(batch);
  }

  /** Rounds until nothing is left to do. @returns the response to the first message. */
  async call(...messages: Ingress[]): Promise<Response | undefined> {
    await this.round(messages);
    for (let rounds = 0; this.replica.busy; rounds++) {
      if (rounds > 2_000) throw new Error('the subnet does not come to rest');
      await this.round();
    }
    const [first] = messages;
    return first === undefined ? undefined : this.response(first);
  }

  response(ingress: Ingress): Response | undefined {
    const status = this.state.ingressHistory.get(toHex(ingress.requestId))?.status;
    if (status?.status === 'replied') return { kind: 'reply', data: status.reply };
    if (status?.status === 'rejected') return { kind: 'reject', reject: status.reject };
    return undefined;
  }
}

/** A deep copy of a state that shares nothing with it. */
export function copyState(state: SubnetState): SubnetState {
  const options = {
    standIns: [
      {
        write: (value: object): unknown =>
          value instanceof PageMap
            ? {
                wasmPages: value.wasmPages,
                pages: [...value.pages()].map((page) => ({ page, bytes: value.view(page)?.slice() })),
              }
            : undefined,
        read: (standIn: unknown): object => {
          const { wasmPages, pages } = standIn as {
            wasmPages: number;
            pages: readonly { page: number; bytes: Uint8Array | undefined }[];
          };
          const map = new PageMap();
          map.resize(wasmPages);
          for (const { page, bytes } of pages) if (bytes !== undefined) map.write(page, bytes, 0);
          return map;
        },
      },
    ],
  };
  return decodeState(encodeState(state, options), options) as SubnetState;
}
