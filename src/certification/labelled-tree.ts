import { compareBytes } from '../codec/index.ts';
import { EMPTY_HASH, forkHash, type HashTree, labeledHash, leafHash, type Path } from './hash-tree.ts';

/** Reads the root of a tree; set by the class, for the functions below it. */
let contentOf: (tree: LabelledTree) => Content;

/**
 * A tree of labels with bytes in its leaves: immutable, sharing structure with the trees it was made from, each node's
 * hash computed once and when first needed. An update costs O(log n), a witness O(log n) per path.
 *
 * Its binary shape is a function of its content alone: the labels below one node form a Patricia tree over their
 * bits, where every byte is written as a 1 followed by its eight bits and the end of a label is a 0, so that a label
 * that is a prefix of another comes first and in-order is lexicographic order:
 *
 *             fork bit 9                    labels  "a"  1 01100001 0
 *            ┌────┴─────┐                           "aa" 1 01100001 1 01100001 0
 *          "a"       fork bit 17                    "ab" 1 01100001 1 01100010 0
 *                   ┌───┴───┐
 *                 "aa"     "ab"
 *
 * All nodes of a subnet that hold the same content therefore hold the same root hash, whatever the history.
 */
export class LabelledTree {
  /** The tree without any label. */
  static readonly empty: LabelledTree = new LabelledTree({ kind: 'empty' });

  /** A tree that is only a value. */
  static leaf(value: Uint8Array): LabelledTree {
    return new LabelledTree({ kind: 'leaf', value, hash: undefined });
  }

  /**
   * A tree that is made again whenever it is read and of which only the hash is kept: for the many subtrees (of
   * sleeping canisters, of old requests) that are hashed once and hardly ever looked at. `make` must give the same
   * content every time.
   */
  static deferred(make: () => LabelledTree): LabelledTree {
    return new LabelledTree({ kind: 'deferred', make, hash: undefined });
  }

  readonly #node: Content;

  static {
    contentOf = (tree) => tree.#node;
  }

  private constructor(node: Content) {
    this.#node = node;
  }

  /** 32 bytes; not to be written to. */
  get rootHash(): Uint8Array {
    return hashOf(this.#node);
  }

  /** The value when this tree is a leaf. */
  get value(): Uint8Array | undefined {
    const node = expand(this.#node);
    return node.kind === 'leaf' ? node.value : undefined;
  }

  /** The value of the leaf at `path`. */
  get(path: Path): Uint8Array | undefined {
    return this.subtree(path)?.value;
  }

  /** What stands at `path`, undefined when nothing does. */
  subtree(path: Path): LabelledTree | undefined {
    let node: Content = this.#node;
    for (const label of path) {
      const child = find(forestOf(node), label);
      if (child === undefined) return undefined;
      node = child.content;
    }
    return node === this.#node ? this : new LabelledTree(node);
  }

  /** The labels directly below this tree in lexicographic order, with what stands there. */
  *children(): IterableIterator<readonly [Uint8Array, LabelledTree]> {
    const stack: Forest[] = [forestOf(this.#node)];
    for (let node = stack.pop(); node !== undefined; node = stack.pop())
      if (node.kind === 'fork') stack.push(node.right, node.left);
      else if (node.kind === 'label') yield [node.label, new LabelledTree(node.content)];
  }

  /**
   * This tree with `value` (a leaf's bytes or a whole subtree) at `path`; missing labels are added, a leaf on the way
   * gives way. Neither the value nor the labels may be written to afterwards.
   */
  set(path: Path, value: Uint8Array | LabelledTree): LabelledTree {
    const tree = value instanceof LabelledTree ? value : LabelledTree.leaf(value);
    return path.length === 0 ? tree : new LabelledTree(set(this.#node, path, 0, tree.#node));
  }

  /** This tree without what stands at `path`. Labels above it stay, even when nothing is left below them. */
  remove(path: Path): LabelledTree {
    if (path.length === 0) return LabelledTree.empty;
    const node = remove(this.#node, path, 0);
    return node === this.#node ? this : new LabelledTree(node);
  }

  /**
   * The part of this tree that says everything about `paths`, and nothing else: what a path leads to is revealed
   * whole; where a path leads nowhere, the neighbouring labels that prove it are shown; all the rest is pruned to
   * hashes, never left out. The root hash stays the same.
   */
  witness(paths: readonly Path[]): HashTree {
    return witness(this.#node, paths, 0);
  }
}

interface Empty {
  readonly kind: 'empty';
}

interface Leaf {
  readonly kind: 'leaf';
  readonly value: Uint8Array;
  hash: Uint8Array | undefined;
}

interface Deferred {
  readonly kind: 'deferred';
  readonly make: () => LabelledTree;
  hash: Uint8Array | undefined;
}

interface Label {
  readonly kind: 'label';
  readonly label: Uint8Array;
  readonly content: Content;
  hash: Uint8Array | undefined;
}

interface Fork {
  readonly kind: 'fork';
  /** The first bit in which labels of the left (0) and the right (1) side differ. */
  readonly bit: number;
  readonly left: Label | Fork;
  readonly right: Label | Fork;
  hash: Uint8Array | undefined;
}

type Forest = Empty | Label | Fork;
type Content = Leaf | Deferred | Forest;

const EMPTY: Empty = { kind: 'empty' };

function hashOf(node: Content): Uint8Array {
  if (node.kind === 'empty') return EMPTY_HASH;
  if (node.hash !== undefined) return node.hash;
  let hash: Uint8Array;
  switch (node.kind) {
    case 'leaf':
      hash = leafHash(node.value);
      break;
    case 'deferred':
      hash = node.make().rootHash;
      break;
    case 'label':
      hash = labeledHash(node.label, hashOf(node.content));
      break;
    case 'fork':
      hash = forkHash(hashOf(node.left), hashOf(node.right));
      break;
  }
  node.hash = hash;
  return hash;
}

function expand(node: Content): Leaf | Forest {
  let made = node;
  while (made.kind === 'deferred') made = contentOf(made.make());
  return made;
}

/** The labels below a node; a leaf has none. */
function forestOf(node: Content): Forest {
  const made = expand(node);
  return made.kind === 'leaf' ? EMPTY : made;
}

// --- the Patricia tree of one level -------------------------------------------------------------------------------

function bitOf(label: Uint8Array, bit: number): 0 | 1 {
  const at = Math.floor(bit / 9);
  const byte = label[at];
  if (byte === undefined) return 0;
  const inByte = bit - 9 * at;
  return inByte === 0 || (byte >> (8 - inByte)) & 1 ? 1 : 0;
}

/** The first bit in which two labels differ, undefined when they are equal. */
function firstDifference(a: Uint8Array, b: Uint8Array): number | undefined {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) ^ (b[i] as number);
    if (difference !== 0) return 9 * i + 1 + Math.clz32(difference) - 24;
  }
  return a.length === b.length ? undefined : 9 * length;
}

/** The label reached by following the bits of `label`: the one asked for, if it is there at all. */
function nearest(node: Label | Fork, label: Uint8Array): Label {
  let at = node;
  while (at.kind === 'fork') at = bitOf(label, at.bit) === 0 ? at.left : at.right;
  return at;
}

function find(node: Forest, label: Uint8Array): Label | undefined {
  if (node.kind === 'empty') return undefined;
  const found = nearest(node, label);
  return compareBytes(found.label, label) === 0 ? found : undefined;
}

function set(node: Content, path: Path, depth: number, content: Content): Forest {
  const label = path[depth];
  const forest = forestOf(node);
  if (label === undefined) throw new Error('a path ended early');
  const inner = (old: Content): Content => (depth + 1 === path.length ? content : set(old, path, depth + 1, content));
  if (forest.kind === 'empty') return labelNode(owned(label), inner(EMPTY));
  const difference = firstDifference(nearest(forest, label).label, label);
  return difference === undefined ? replace(forest, label, inner) : insert(forest, label, difference, inner(EMPTY));
}

function replace(node: Label | Fork, label: Uint8Array, inner: (old: Content) => Content): Label | Fork {
  if (node.kind === 'label') return labelNode(node.label, inner(node.content));
  return bitOf(label, node.bit) === 0
    ? forkNode(node.bit, replace(node.left, label, inner), node.right)
    : forkNode(node.bit, node.left, replace(node.right, label, inner));
}

function insert(node: Label | Fork, label: Uint8Array, difference: number, content: Content): Fork {
  if (node.kind === 'fork' && node.bit < difference)
    return bitOf(label, node.bit) === 0
      ? forkNode(node.bit, insert(node.left, label, difference, content), node.right)
      : forkNode(node.bit, node.left, insert(node.right, label, difference, content));
  const added = labelNode(owned(label), content);
  return bitOf(label, difference) === 0 ? forkNode(difference, added, node) : forkNode(difference, node, added);
}

function remove(node: Content, path: Path, depth: number): Content {
  const label = path[depth];
  const forest = forestOf(node);
  const found = label === undefined ? undefined : find(forest, label);
  if (label === undefined || found === undefined || forest.kind === 'empty') return node;
  if (depth + 1 === path.length) return without(forest, label);
  const content = remove(found.content, path, depth + 1);
  return content === found.content ? node : replace(forest, label, () => content);
}

function without(node: Label | Fork, label: Uint8Array): Forest {
  if (node.kind === 'label') return EMPTY;
  const left = bitOf(label, node.bit) === 0;
  const rest = without(left ? node.left : node.right, label);
  if (rest.kind === 'empty') return left ? node.right : node.left;
  return left ? forkNode(node.bit, rest, node.right) : forkNode(node.bit, node.left, rest);
}

/** A label that is a view of something larger is copied, so as not to keep that alive. */
function owned(label: Uint8Array): Uint8Array {
  return label.length === label.buffer.byteLength ? label : new Uint8Array(label);
}

function labelNode(label: Uint8Array, content: Content): Label {
  return { kind: 'label', label, content, hash: undefined };
}

function forkNode(bit: number, left: Label | Fork, right: Label | Fork): Fork {
  return { kind: 'fork', bit, left, right, hash: undefined };
}

// --- witnesses ----------------------------------------------------------------------------------------------------

function witness(node: Content, paths: readonly Path[], depth: number): HashTree {
  if (paths.length === 0) return [4, hashOf(node)];
  if (paths.some((path) => path.length === depth)) return reveal(node);
  const made = expand(node);
  if (made.kind === 'empty') return [0];
  // A path that goes on below a value leads nowhere: the value itself proves it.
  if (made.kind === 'leaf') return [3, made.value];
  const open = new Map<Label | Fork, Path[]>();
  for (const path of paths) {
    const label = path[depth] as Uint8Array;
    const difference = firstDifference(nearest(made, label).label, label);
    if (difference === undefined) openWay(made, label, open).push(path);
    else for (const neighbour of neighbours(made, label, difference)) openWay(made, neighbour.label, open);
  }
  return witnessOfForest(made, open, depth);
}

function witnessOfForest(node: Label | Fork, open: ReadonlyMap<Label | Fork, Path[]>, depth: number): HashTree {
  const paths = open.get(node);
  if (paths === undefined) return [4, hashOf(node)];
  if (node.kind === 'label') return [2, node.label, witness(node.content, paths, depth + 1)];
  return [1, witnessOfForest(node.left, open, depth), witnessOfForest(node.right, open, depth)];
}

/** Marks the nodes that lead to `label` as shown. @returns the paths asked for below the label */
function openWay(forest: Label | Fork, label: Uint8Array, open: Map<Label | Fork, Path[]>): Path[] {
  let node = forest;
  for (;;) {
    let paths = open.get(node);
    if (paths === undefined) {
      paths = [];
      open.set(node, paths);
    }
    if (node.kind === 'label') return paths;
    node = bitOf(label, node.bit) === 0 ? node.left : node.right;
  }
}

/** The greatest label smaller and the smallest label greater than `label`, which is not in the forest. */
function neighbours(forest: Label | Fork, label: Uint8Array, difference: number): Label[] {
  let node = forest;
  let before: Label | Fork | undefined;
  let after: Label | Fork | undefined;
  while (node.kind === 'fork' && node.bit < difference)
    if (bitOf(label, node.bit) === 0) {
      after = node.right;
      node = node.left;
    } else {
      before = node.left;
      node = node.right;
    }
  if (bitOf(label, difference) === 0) after = node;
  else before = node;
  const found: Label[] = [];
  if (before !== undefined) found.push(last(before));
  if (after !== undefined) found.push(first(after));
  return found;
}

function first(node: Label | Fork): Label {
  let at = node;
  while (at.kind === 'fork') at = at.left;
  return at;
}

function last(node: Label | Fork): Label {
  let at = node;
  while (at.kind === 'fork') at = at.right;
  return at;
}

function reveal(node: Content): HashTree {
  const made = expand(node);
  switch (made.kind) {
    case 'empty':
      return [0];
    case 'leaf':
      return [3, made.value];
    case 'label':
      return [2, made.label, reveal(made.content)];
    case 'fork':
      return [1, reveal(made.left), reveal(made.right)];
  }
}
