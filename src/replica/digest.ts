import { encodeState, sha256, utf8 } from '../codec/index.ts';
import { PAGE_BYTES, type PageStore } from '../model/index.ts';
import type { CanisterInput, CanisterState } from '../state/index.ts';
import type { PageChanges, Round } from './round.ts';

/**
 * Digests that make two executions comparable (ARCHITECTURE section 2, 3).
 *
 *   canister digest = H(pages, everything else of the canister)
 *   pages           = H over heap and stable memory of  size, (index u32, SHA-256 of the page)*   changed pages, ascending
 *   round digest    = H over changed canisters, ascending, of  key, digest;  then what the subnet itself keeps
 *   state hash      = H(state hash before, round digest, certified root)
 */
const ZERO_PAGE = new Uint8Array(PAGE_BYTES);
const NOTHING = new Uint8Array(0);

/** The digest of every canister that the round changed, by key, ascending. A canister that is gone has an empty one. */
export function canisterDigests(round: Round): (readonly [string, Uint8Array])[] {
  return [...round.changed.keys()].sort().map((key) => {
    const canister = round.state.canisters.get(key);
    const changes = round.changed.get(key);
    return [key, canister === undefined || changes === undefined ? NOTHING : digestOf(canister, changes)] as const;
  });
}

function digestOf(canister: CanisterState, changes: PageChanges): Uint8Array {
  const { heap, stable, chunkStore, snapshots, input, paused, wasmState, ...rest } = canister;
  const plain = {
    ...rest,
    chunkStore: [...chunkStore.keys()].sort(),
    snapshots: [...snapshots.keys()].sort(),
    input: input.map(inputDigest),
    paused: paused === undefined ? undefined : { ...paused, input: inputDigest(paused.input) },
    wasmState:
      wasmState === undefined
        ? undefined
        : {
            globals: wasmState.globals,
            tables: wasmState.tables.map(tableDigest),
            droppedSegments: wasmState.droppedSegments,
          },
  };
  return sha256(pagesDigest(heap, changes.heap), pagesDigest(stable, changes.stable), encodeState(plain));
}

/** Messages and tables never change once made, and stay for many rounds: each is hashed once. */
const known: WeakMap<object, Uint8Array> = new WeakMap();

function inputDigest(input: CanisterInput): Uint8Array {
  return digestOnce(input, () => sha256(encodeState(input)));
}

function tableDigest(table: Uint8Array): Uint8Array {
  return digestOnce(table, () => sha256(table));
}

function digestOnce(value: object, digest: () => Uint8Array): Uint8Array {
  let result = known.get(value);
  if (result === undefined) {
    result = digest();
    known.set(value, result);
  }
  return result;
}

function pagesDigest(store: PageStore, changed: Set<number> | 'all'): Uint8Array {
  const pages = changed === 'all' ? [...store.pages()] : [...changed].sort((a, b) => a - b);
  const bytes = new Uint8Array(4 + 36 * pages.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, store.wasmPages);
  let at = 4;
  for (const page of pages) {
    view.setUint32(at, page);
    bytes.set(sha256(store.view(page) ?? ZERO_PAGE), at + 4);
    at += 36;
  }
  return sha256(bytes);
}

export function roundDigest(round: Round, canisters: readonly (readonly [string, Uint8Array])[]): Uint8Array {
  const { state } = round;
  const parts: Uint8Array[] = [];
  for (const [key, digest] of canisters) parts.push(utf8(key), Uint8Array.of(0), digest);
  parts.push(
    encodeState({
      height: state.height,
      time: state.time,
      protocolVersion: state.protocolVersion,
      registryVersion: state.registryVersion,
      nextCanisterNumber: state.nextCanisterNumber,
      nextId: state.nextId,
      managementCalls: state.managementCalls,
      randomness: state.randomness,
      lastChargeTime: state.lastChargeTime,
      cyclesMinted: state.cyclesMinted,
      cyclesBurned: state.cyclesBurned,
    }),
  );
  return sha256(...parts);
}

export function nextStateHash(before: Uint8Array, digest: Uint8Array, certifiedRoot: Uint8Array): Uint8Array {
  return sha256(before, digest, certifiedRoot);
}
