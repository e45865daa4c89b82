import { encodeCanisterRanges, LabelledTree, pathOf } from '../certification/index.ts';
import { encodeCbor, encodeSelfDescribedCbor, encodeUleb128, equalBytes, fromHex, utf8 } from '../codec/index.ts';
import { type IngressStatus, Principal, type Time, WASM_PAGE_BYTES } from '../model/index.ts';
import type { CanisterCode, CanisterState } from './canister-state.ts';
import type { NetworkRecord, SubnetState } from './subnet-state.ts';

/** What a round changed, as far as the tree shows it. Naming too much only costs time. */
export interface StateTreeChanges {
  /** Keys of canisters that were created, deleted, or ran or changed in any way. */
  readonly canisters: Iterable<string>;
  /** Request ids (hex) whose status changed or that were forgotten. */
  readonly requests: Iterable<string>;
}

/**
 * The system state tree (interface spec, "The system state tree") of a subnet, kept up to date round by round:
 *
 *   /time
 *   /subnet/<subnet id>/{public_key, type, canister_ranges, metrics, node/<node id>/public_key}
 *   /canister_ranges/<subnet id>/<first canister id>            one shard
 *   /canister/<canister id>/{certified_data, controllers, canister_creation_timestamp,
 *                            module_hash, last_install_timestamp, metadata/<name>}
 *   /request_status/<request id>/{status, reply, reject_code, reject_message, error_code}
 *
 * An update costs O(changes · log n). The tree is a function of the state alone: updating it round by round and
 * building it anew give the same root. Subtrees of canisters and requests are remembered by their hash and made again
 * when somebody reads them, so that a hundred thousand sleeping canisters cost little memory.
 */
export class StateTree {
  #tree: LabelledTree;
  #network: NetworkRecord | undefined;
  /** What the tree shows of each canister. */
  readonly #canisters: Map<string, CanisterView> = new Map();
  #stateBytes = 0n;

  private constructor(tree: LabelledTree) {
    this.#tree = tree;
  }

  /** The tree of a state, built from scratch: at genesis and after a checkpoint was read. */
  static of(state: SubnetState): StateTree {
    // These labels stay when they are empty, so that the absence of what would stand below them is theirs to prove.
    const skeleton = LabelledTree.empty
      .set(pathOf('canister'), LabelledTree.empty)
      .set(pathOf('request_status'), LabelledTree.empty);
    const made = new StateTree(skeleton);
    made.update(state, { canisters: state.canisters.keys(), requests: state.ingressHistory.keys() });
    return made;
  }

  /** The tree after the last update. Immutable: it may be kept and read while rounds go on. */
  get tree(): LabelledTree {
    return this.#tree;
  }

  /** Brings the tree up to `state`, which differs from that of the last update in `changes` at most. @returns the new tree */
  update(state: SubnetState, changes: StateTreeChanges): LabelledTree {
    let canisters = this.#tree.subtree(CANISTER) ?? LabelledTree.empty;
    for (const key of changes.canisters) canisters = this.#updateCanister(canisters, key, state.canisters.get(key));
    let requests = this.#tree.subtree(REQUEST_STATUS) ?? LabelledTree.empty;
    for (const id of changes.requests) {
      const status = state.ingressHistory.get(id)?.status;
      const path = [fromHex(id)];
      requests =
        status === undefined
          ? requests.remove(path)
          : requests.set(
              path,
              LabelledTree.deferred(() => requestTree(status)),
            );
    }
    let tree = this.#tree;
    if (this.#network !== state.network) {
      tree = withNetwork(tree, state.network);
      this.#network = state.network;
    }
    this.#tree = tree
      .set(CANISTER, canisters)
      .set(REQUEST_STATUS, requests)
      .set(pathOf('subnet', state.network.subnetId.bytes, 'metrics'), this.#metrics(state))
      .set(TIME, encodeUleb128(state.time));
    return this.#tree;
  }

  #updateCanister(canisters: LabelledTree, key: string, canister: CanisterState | undefined): LabelledTree {
    const before = this.#canisters.get(key);
    const path = [canister?.id.bytes ?? Principal.fromKey(key).bytes];
    if (canister === undefined) {
      this.#canisters.delete(key);
      this.#stateBytes -= before?.sizeBytes ?? 0n;
      return canisters.remove(path);
    }
    const view = viewOf(canister, before);
    this.#canisters.set(key, view);
    this.#stateBytes += view.sizeBytes - (before?.sizeBytes ?? 0n);
    return view.tree === before?.tree ? canisters : canisters.set(path, view.tree);
  }

  /** `metrics`, with the fields numbered in the order in which the specification names them, as the real replica writes them. */
  #metrics(state: SubnetState): Uint8Array {
    const burned = state.cyclesBurned;
    const high = burned >> 64n;
    const consumed = new Map([[0n, BigInt.asUintN(64, burned)]]);
    if (high > 0n) consumed.set(1n, high);
    return encodeCbor(
      new Map<bigint, bigint | ReadonlyMap<bigint, bigint>>([
        [0n, BigInt(state.canisters.size)],
        [1n, this.#stateBytes],
        [2n, consumed],
        [3n, state.executedMessages ?? 0n],
      ]),
    );
  }
}

const TIME = pathOf('time');
const CANISTER = pathOf('canister');
const REQUEST_STATUS = pathOf('request_status');
const LABEL = {
  certifiedData: pathOf('certified_data'),
  controllers: pathOf('controllers'),
  createdAt: pathOf('canister_creation_timestamp'),
  moduleHash: pathOf('module_hash'),
  installedAt: pathOf('last_install_timestamp'),
  metadata: pathOf('metadata'),
  status: pathOf('status'),
  reply: pathOf('reply'),
  rejectCode: pathOf('reject_code'),
  rejectMessage: pathOf('reject_message'),
  errorCode: pathOf('error_code'),
} as const;

function withNetwork(tree: LabelledTree, network: NetworkRecord): LabelledTree {
  const { subnetId, canisterRanges, nodes } = network;
  const ranges = encodeCanisterRanges(canisterRanges);
  const [first] = canisterRanges;
  let subnet = LabelledTree.empty
    .set(pathOf('public_key'), network.publicKey)
    .set(pathOf('type'), utf8(network.subnetType))
    .set(pathOf('canister_ranges'), ranges);
  for (const node of nodes) subnet = subnet.set(pathOf('node', node.nodeId.bytes, 'public_key'), node.publicKey);
  let shards = LabelledTree.empty;
  // A single shard: stock clients read only one, and a subnet that was never split has few ranges.
  if (first !== undefined) shards = shards.set(pathOf(subnetId.bytes, first.start.bytes), ranges);
  return tree
    .set(pathOf('subnet'), LabelledTree.empty.set([subnetId.bytes], subnet))
    .set(pathOf('canister_ranges'), shards);
}

// --- canisters ----------------------------------------------------------------------------------------------------

/** The values of a canister that its subtree was made from. They are replaced in the state, never changed in place; certified data is copied to be sure. */
interface CanisterView {
  readonly createdAt: Time;
  readonly controllers: readonly Principal[];
  readonly code: CanisterCode | undefined;
  readonly metadata: LabelledTree;
  readonly certifiedData: Uint8Array;
  readonly tree: LabelledTree;
  readonly sizeBytes: bigint;
}

function viewOf(canister: CanisterState, before: CanisterView | undefined): CanisterView {
  const { createdAt, code } = canister;
  const { controllers } = canister.settings;
  const sizeBytes = sizeOf(canister);
  if (
    before !== undefined &&
    before.createdAt === createdAt &&
    before.controllers === controllers &&
    before.code === code &&
    equalBytes(before.certifiedData, canister.certifiedData)
  )
    return before.sizeBytes === sizeBytes ? before : { ...before, sizeBytes };
  const certifiedData = canister.certifiedData.length === 0 ? NOTHING : new Uint8Array(canister.certifiedData);
  const metadata = before !== undefined && before.code === code ? before.metadata : metadataOf(code);
  const tree = LabelledTree.deferred(() => {
    const bare = LabelledTree.empty
      .set(LABEL.certifiedData, certifiedData)
      .set(LABEL.controllers, encodeSelfDescribedCbor(controllers))
      .set(LABEL.createdAt, encodeUleb128(createdAt));
    return code === undefined
      ? bare
      : bare
          .set(LABEL.moduleHash, fromHex(code.moduleHash))
          .set(LABEL.installedAt, encodeUleb128(code.installedAt))
          .set(LABEL.metadata, metadata);
  });
  return { createdAt, controllers, code, metadata, certifiedData, tree, sizeBytes };
}

const NOTHING = new Uint8Array(0);

/** Sections can be large and change only with the code: their hash outlives the rest of the canister's subtree. */
function metadataOf(code: CanisterCode | undefined): LabelledTree {
  if (code === undefined || code.customSections.length === 0) return LabelledTree.empty;
  return LabelledTree.deferred(() =>
    code.customSections.reduce((sum, { name, content }) => sum.set(pathOf(name), content), LabelledTree.empty),
  );
}

function sizeOf(canister: CanisterState): bigint {
  let size = BigInt(canister.heap.wasmPages + canister.stable.wasmPages) * BigInt(WASM_PAGE_BYTES);
  for (const section of canister.code?.customSections ?? []) size += BigInt(section.content.length);
  for (const chunk of canister.chunkStore.values()) size += BigInt(chunk.length);
  return size;
}

// --- requests -----------------------------------------------------------------------------------------------------

function requestTree(status: IngressStatus): LabelledTree {
  const bare = LabelledTree.empty.set(LABEL.status, utf8(status.status));
  switch (status.status) {
    case 'replied':
      return bare.set(LABEL.reply, status.reply);
    case 'rejected': {
      const { rejectCode, message, errorCode } = status.reject;
      const rejected = bare.set(LABEL.rejectCode, encodeUleb128(rejectCode)).set(LABEL.rejectMessage, utf8(message));
      return errorCode === undefined ? rejected : rejected.set(LABEL.errorCode, utf8(errorCode));
    }
    default:
      return bare;
  }
}
