import { type CborValue, compareBytes, concatBytes, sha256, utf8 } from '../codec/index.ts';
import { CertificationError } from './certification-error.ts';

/**
 * A partial state tree as certificates carry it (interface spec, "Certificate"), in the very shape of its CBOR:
 * Empty, Fork, Labeled, Leaf, Pruned.
 */
export type HashTree =
  | readonly [0]
  | readonly [1, HashTree, HashTree]
  | readonly [2, Uint8Array, HashTree]
  | readonly [3, Uint8Array]
  | readonly [4, Uint8Array];

/** A path: its labels from the root. */
export type Path = readonly Uint8Array[];

/** A path from texts (as UTF-8) and byte strings. */
export function pathOf(...labels: readonly (string | Uint8Array)[]): Path {
  return labels.map((label) => (typeof label === 'string' ? utf8(label) : label));
}

// --- hashing ------------------------------------------------------------------------------------------------------

function separator(text: string): Uint8Array {
  return concatBytes(Uint8Array.of(text.length), utf8(text));
}

const FORK = separator('ic-hashtree-fork');
const LABELED = separator('ic-hashtree-labeled');
const LEAF = separator('ic-hashtree-leaf');

export const EMPTY_HASH: Uint8Array = sha256(separator('ic-hashtree-empty'));

export function forkHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(FORK, left, right);
}

export function labeledHash(label: Uint8Array, subtree: Uint8Array): Uint8Array {
  return sha256(LABELED, label, subtree);
}

export function leafHash(value: Uint8Array): Uint8Array {
  return sha256(LEAF, value);
}

/** The root hash of a partial tree (interface spec, `reconstruct`). */
export function reconstruct(tree: HashTree): Uint8Array {
  switch (tree[0]) {
    case 0:
      return EMPTY_HASH;
    case 1:
      return forkHash(reconstruct(tree[1]), reconstruct(tree[2]));
    case 2:
      return labeledHash(tree[1], reconstruct(tree[2]));
    case 3:
      return leafHash(tree[1]);
    case 4:
      return tree[1];
  }
}

// --- lookup -------------------------------------------------------------------------------------------------------

/** What a partial tree says about a path (interface spec, "Lookup"). */
export type Lookup =
  | { readonly kind: 'found'; readonly value: Uint8Array }
  | { readonly kind: 'absent' }
  /** The place was pruned: the tree does not tell. */
  | { readonly kind: 'unknown' }
  /** The path is in the tree but leads to no leaf. */
  | { readonly kind: 'error' };

export type SubtreeLookup =
  | { readonly kind: 'found'; readonly tree: HashTree }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unknown' };

const ABSENT = { kind: 'absent' } as const;
const UNKNOWN = { kind: 'unknown' } as const;

/** `lookup_path` of the interface specification. */
export function lookupPath(path: Path, tree: HashTree): Lookup {
  const subtree = lookupSubtree(path, tree);
  if (subtree.kind !== 'found') return subtree;
  switch (subtree.tree[0]) {
    case 0:
      return ABSENT;
    case 3:
      return { kind: 'found', value: subtree.tree[1] };
    case 4:
      return UNKNOWN;
    default:
      return { kind: 'error' };
  }
}

/** What stands at `path`, be it a leaf, a forest or pruned. */
export function lookupSubtree(path: Path, tree: HashTree): SubtreeLookup {
  let at = tree;
  for (const label of path) {
    const found = findLabel(label, flattenForks(at));
    if (found.kind !== 'found') return found;
    at = found.tree;
  }
  return { kind: 'found', tree: at };
}

function findLabel(label: Uint8Array, trees: readonly HashTree[]): SubtreeLookup {
  const [first] = trees;
  if (first === undefined || (trees.length === 1 && first[0] === 3)) return ABSENT;
  // Absent only where two visible labels, or a visible label and an end of the list, enclose the place without a gap.
  let beforeIsSmaller = true;
  for (const tree of trees) {
    if (tree[0] !== 2) {
      beforeIsSmaller = false;
      continue;
    }
    const order = compareBytes(tree[1], label);
    if (order === 0) return { kind: 'found', tree: tree[2] };
    if (order > 0) return beforeIsSmaller ? ABSENT : UNKNOWN;
    beforeIsSmaller = true;
  }
  return beforeIsSmaller ? ABSENT : UNKNOWN;
}

/** The trees of a forest from left to right, without forks and Empty. */
export function flattenForks(tree: HashTree): HashTree[] {
  const flat: HashTree[] = [];
  const stack: HashTree[] = [tree];
  for (let next = stack.pop(); next !== undefined; next = stack.pop())
    if (next[0] === 1) stack.push(next[2], next[1]);
    else if (next[0] !== 0) flat.push(next);
  return flat;
}

/** All values at paths that begin with `path`, with the rest of their paths, from left to right (`lookup*` of the specification). */
export function lookupAll(path: Path, tree: HashTree): { readonly path: Path; readonly value: Uint8Array }[] {
  const found = lookupSubtree(path, tree);
  const values: { path: Path; value: Uint8Array }[] = [];
  const walk = (at: HashTree, labels: Path): void => {
    for (const item of flattenForks(at))
      if (item[0] === 2) walk(item[2], [...labels, item[1]]);
      else if (item[0] === 3) values.push({ path: labels, value: item[1] });
  };
  if (found.kind === 'found') walk(found.tree, []);
  return values;
}

/** Whether labels increase strictly and do not mix with leaves (interface spec, `well_formed`). */
export function isWellFormed(tree: HashTree): boolean {
  if (tree[0] === 3) return true;
  let previous: Uint8Array | undefined;
  for (const item of flattenForks(tree)) {
    if (item[0] === 3) return false;
    if (item[0] !== 2) continue;
    if (previous !== undefined && compareBytes(previous, item[1]) >= 0) return false;
    previous = item[1];
    if (!isWellFormed(item[2])) return false;
  }
  return true;
}

// --- encoding -----------------------------------------------------------------------------------------------------

/** Checks that decoded CBOR is a hash tree. @throws CertificationError `malformed` */
export function hashTreeFromCbor(value: CborValue | undefined): HashTree {
  if (!Array.isArray(value)) throw new CertificationError('malformed', 'a node of a hash tree must be an array');
  const items = value as readonly CborValue[];
  const [kind, first, second] = items;
  if (kind === 0n && items.length === 1) return [0];
  if (kind === 1n && items.length === 3) return [1, hashTreeFromCbor(first), hashTreeFromCbor(second)];
  if (kind === 2n && items.length === 3 && first instanceof Uint8Array) return [2, first, hashTreeFromCbor(second)];
  if (kind === 3n && items.length === 2 && first instanceof Uint8Array) return [3, first];
  if (kind === 4n && items.length === 2 && first instanceof Uint8Array && first.length === 32) return [4, first];
  throw new CertificationError('malformed', 'not a node of a hash tree');
}
