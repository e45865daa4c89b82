import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import {
  type BlsSigner,
  blsSecretKeyFromSeed,
  createBlsSigner,
  LabelledTree,
  pathOf,
  stateRootPayload,
} from '../certification/index.ts';
import { concatBytes, encodeSelfDescribedCbor, encodeUleb128, toHex, utf8 } from '../codec/index.ts';
import {
  canisterIdFromNumber,
  ErrorCode,
  type Height,
  type Ingress,
  type IngressStatus,
  Principal,
  type Response,
  type Time,
  type UserError,
} from '../model/index.ts';
import type { Query, QueryOutcome, Replica } from '../replica/index.ts';
import { type CanisterState, PageMap, type SubnetState } from '../state/index.ts';
import type { CertifiedState, SubnetPort } from './contract.ts';

const MILLION = 1_000_000n;
/** One key for all: making it takes longer than most tests. */
let signer: Promise<BlsSigner> | undefined;

/**
 * A subnet without a replica, for the tests of the gateway: scripted answers, a real state tree, a real BLS key and a
 * real node key. A submitted call is executed and certified in a round on the next turn of the event loop, or when the
 * test calls `round()`.
 */
export class TestSubnet implements SubnetPort {
  readonly rootKey: Uint8Array;
  readonly subnetId: Principal;
  readonly nodeId: Principal;
  readonly replica: Replica;
  readonly state: SubnetState;
  /** Calls that were executed, in order: each at most once. */
  readonly executed: Ingress[] = [];
  readonly queries: Query[] = [];
  /** What each of the queries saw as its data certificate. */
  readonly certificates: (Uint8Array | undefined)[] = [];
  /** What the canisters do with a call. */
  execute: (ingress: Ingress) => Response = (ingress) => ({ kind: 'reply', data: ingress.arg });
  query: (query: Query) => Response = (query) => ({ kind: 'reply', data: query.arg });
  inspect: (ingress: Ingress) => UserError | undefined = () => undefined;
  automatic = true;
  /** Whether queries are remembered. */
  recording = true;
  poolFull = false;
  /** Milliseconds added to this machine's clock. */
  clockOffsetMs = 0;

  readonly #bls: BlsSigner;
  readonly #nodeKey: KeyObject;
  #pool: Ingress[] = [];
  #tree: LabelledTree = LabelledTree.empty;
  #certified: CertifiedState | undefined;
  #wakers: (() => void)[] = [];

  static async create(): Promise<TestSubnet> {
    signer ??= createBlsSigner(blsSecretKeyFromSeed(new Uint8Array(32).fill(7)));
    const subnet = new TestSubnet(await signer);
    subnet.round();
    return subnet;
  }

  private constructor(bls: BlsSigner) {
    this.#bls = bls;
    this.rootKey = bls.publicKeyDer;
    this.subnetId = selfAuthenticating(this.rootKey);
    const pkcs8 = concatBytes(
      Uint8Array.from([0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20]),
      new Uint8Array(32).fill(9),
    );
    this.#nodeKey = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
    const nodeKeyDer = new Uint8Array(createPublicKey(this.#nodeKey).export({ format: 'der', type: 'spki' }));
    this.nodeId = selfAuthenticating(nodeKeyDer);
    this.state = emptyState(this.subnetId, this.rootKey, this.nodeId, nodeKeyDer);
    const subnet = this;
    this.replica = {
      state: this.state,
      get tree() {
        return subnet.#tree;
      },
      execute: () => Promise.reject(new Error('the test subnet executes no batches')),
      query: (query) => subnet.#query(query),
      inspectIngress: (ingress) => Promise.resolve(subnet.inspect(ingress)),
      busy: false,
      nextDeadline: () => undefined,
      close: () => Promise.resolve(),
    };
    const subnetPath = (...labels: (string | Uint8Array)[]): readonly Uint8Array[] =>
      pathOf('subnet', this.subnetId.bytes, ...labels);
    const ranges = encodeSelfDescribedCbor([[new Uint8Array(10), new Uint8Array(10).fill(255)]]);
    this.#tree = this.#tree
      .set(subnetPath('public_key'), this.rootKey)
      .set(subnetPath('type'), utf8('application'))
      .set(subnetPath('canister_ranges'), ranges)
      .set(subnetPath('metrics'), encodeSelfDescribedCbor(new Map()))
      .set(subnetPath('node', this.nodeId.bytes, 'public_key'), nodeKeyDer)
      .set(pathOf('canister_ranges', this.subnetId.bytes, new Uint8Array(10)), ranges);
  }

  // --- the script ---------------------------------------------------------------------------------------------------

  addCanister(
    number: bigint,
    options: {
      controllers?: readonly Principal[];
      sections?: readonly { name: string; visibility: 'public' | 'private'; content: Uint8Array }[];
      certifiedData?: Uint8Array;
    } = {},
  ): Principal {
    const id = canisterIdFromNumber(number);
    const controllers = options.controllers ?? [];
    const sections = options.sections ?? [];
    const certifiedData = options.certifiedData ?? new Uint8Array(0);
    this.state.canisters.set(id.key, canister(id, controllers, sections, certifiedData));
    const path = (...labels: string[]): readonly Uint8Array[] => pathOf('canister', id.bytes, ...labels);
    this.#tree = this.#tree
      .set(path('controllers'), encodeSelfDescribedCbor([...controllers]))
      .set(path('module_hash'), new Uint8Array(32).fill(1))
      .set(path('certified_data'), certifiedData);
    for (const { name, content } of sections) this.#tree = this.#tree.set(path('metadata', name), content);
    this.round();
    return id;
  }

  /** Changes certified data in the state, and in the tree that the next `round()` certifies. */
  setCertifiedData(id: Principal, data: Uint8Array): void {
    const known = this.state.canisters.get(id.key);
    if (known !== undefined) known.certifiedData = data;
    this.state.height++;
    this.#tree = this.#tree.set(pathOf('canister', id.bytes, 'certified_data'), data);
  }

  /** Executes what waits and certifies the state. */
  round(): void {
    const batch = this.#pool;
    this.#pool = [];
    this.state.height++;
    this.state.time = this.now();
    for (const ingress of batch) this.#run(ingress);
    this.certify();
  }

  certify(): void {
    const time = this.now();
    this.#tree = this.#tree.set(pathOf('time'), encodeUleb128(time));
    const signature = this.#bls.sign(stateRootPayload(this.#tree.rootHash));
    this.#certified = { height: this.state.height, time, tree: this.#tree, signature };
    const wakers = this.#wakers;
    this.#wakers = [];
    for (const wake of wakers) wake();
  }

  forgetCertificate(): void {
    this.#certified = undefined;
  }

  /** Puts a status into the history and the tree without running anything. */
  setStatus(ingress: Ingress, status: IngressStatus): void {
    const { requestId, sender, canisterId, effectiveCanisterId, ingressExpiry } = ingress;
    const record = { sender, canisterId, effectiveCanisterId, expiry: ingressExpiry, status };
    this.state.ingressHistory.set(toHex(requestId), record);
    const path = (field: string): readonly Uint8Array[] => pathOf('request_status', requestId, field);
    let tree = this.#tree.set(path('status'), utf8(status.status));
    if (status.status === 'replied') tree = tree.set(path('reply'), status.reply);
    if (status.status === 'rejected') {
      const { rejectCode, message, errorCode } = status.reject;
      tree = tree.set(path('reject_code'), encodeUleb128(rejectCode)).set(path('reject_message'), utf8(message));
      if (errorCode !== undefined) tree = tree.set(path('error_code'), utf8(errorCode));
    }
    this.#tree = tree;
  }

  #run(ingress: Ingress): void {
    if (this.state.ingressHistory.has(toHex(ingress.requestId))) return;
    this.executed.push(ingress);
    const response = this.execute(ingress);
    this.setStatus(
      ingress,
      response.kind === 'reply'
        ? { status: 'replied', reply: response.data }
        : { status: 'rejected', reject: response.reject },
    );
  }

  #query(query: Query): Promise<QueryOutcome> {
    const certificate = query.dataCertificate;
    if (this.recording) {
      this.queries.push(query);
      this.certificates.push(certificate);
    }
    const response: Response = this.state.canisters.has(query.canisterId.key)
      ? this.query(query)
      : {
          kind: 'reject',
          reject: {
            rejectCode: 3,
            message: `Canister ${query.canisterId} not found`,
            errorCode: ErrorCode.CanisterNotFound,
          },
        };
    return Promise.resolve({ response, height: this.state.height });
  }

  // --- the port -----------------------------------------------------------------------------------------------------

  signAsNode(message: Uint8Array): Uint8Array {
    return new Uint8Array(sign(null, message, this.#nodeKey));
  }

  submit(ingress: Ingress): boolean {
    if (this.poolFull) return false;
    if (!this.#pool.some((known) => toHex(known.requestId) === toHex(ingress.requestId))) this.#pool.push(ingress);
    if (this.automatic) setImmediate(() => this.round());
    return true;
  }

  certified(): CertifiedState | undefined {
    return this.#certified;
  }

  async refresh(maxAgeMs: number): Promise<CertifiedState> {
    if (this.#certified === undefined || this.now() - this.#certified.time > BigInt(maxAgeMs) * MILLION) this.round();
    return this.certifiedSince(0);
  }

  async certifiedSince(height: Height): Promise<CertifiedState> {
    while (this.#certified === undefined || this.#certified.height < height) await this.#nextCertificate();
    return this.#certified;
  }

  async completion(requestIdHex: string, timeoutMs: number): Promise<CertifiedState | undefined> {
    const deadline = performance.now() + timeoutMs;
    const completed = (): boolean => {
      const status = this.state.ingressHistory.get(requestIdHex)?.status.status;
      return status === 'replied' || status === 'rejected' || status === 'done';
    };
    while (!completed() && performance.now() < deadline) await this.#nextCertificate(deadline - performance.now());
    return completed() ? this.#certified : undefined;
  }

  durable(): Promise<void> {
    return Promise.resolve();
  }

  now(): Time {
    return BigInt(Date.now() + this.clockOffsetMs) * MILLION;
  }

  #nextCertificate(timeoutMs = 5_000): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#wakers.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

export function selfAuthenticating(der: Uint8Array): Principal {
  return Principal.fromBytes(concatBytes(new Uint8Array(createHash('sha224').update(der).digest()), Uint8Array.of(2)));
}

function emptyState(subnetId: Principal, key: Uint8Array, nodeId: Principal, nodeKey: Uint8Array): SubnetState {
  return {
    protocolVersion: 1,
    registryVersion: 1,
    height: 0,
    time: 0n,
    stateHash: new Uint8Array(32),
    network: {
      subnetId,
      publicKey: key,
      rootPublicKey: key,
      subnetType: 'application',
      costSchedule: 'normal',
      nodes: [{ nodeId, publicKey: nodeKey }],
      canisterRanges: [],
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
    cyclesBurned: 0n,
  };
}

function canister(
  id: Principal,
  controllers: readonly Principal[],
  customSections: readonly { name: string; visibility: 'public' | 'private'; content: Uint8Array }[],
  certifiedData: Uint8Array,
): CanisterState {
  const controllersOnly = { kind: 'controllers' } as const;
  return {
    id,
    version: 1n,
    createdAt: 1n,
    settings: {
      controllers,
      computeAllocation: 0n,
      memoryAllocation: 0n,
      freezingThresholdSeconds: 0n,
      reservedCyclesLimit: 0n,
      minimumIncomingCanisterCallCycles: 0n,
      logVisibility: controllersOnly,
      snapshotVisibility: controllersOnly,
      statusVisibility: controllersOnly,
      wasmMemoryLimit: 0n,
      wasmMemoryThreshold: 0n,
      logMemoryLimit: 0n,
      environmentVariables: [],
    },
    status: { kind: 'running' },
    balance: 5_000_000_000_000n,
    reservedBalance: 0n,
    code: { moduleHash: '01'.repeat(32), installedAt: 1n, customSections },
    heap: new PageMap(),
    stable: new PageMap(),
    wasmState: undefined,
    generation: 0,
    certifiedData,
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
}
