import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lookup_path, reconstruct as reconstructByClient } from '@icp-sdk/core/agent';
import fc from 'fast-check';
import { compareBytes, decodeCbor, encodeCbor, fromHex, toHex, utf8 } from '../codec/index.ts';
import {
  type HashTree,
  hashTreeFromCbor,
  isWellFormed,
  LabelledTree,
  lookupPath,
  type Path,
  pathOf,
  reconstruct,
} from './index.ts';

/** The naive model: leaves by path (hex labels joined by '/'), no path a prefix of another. */
type Model = Map<string, Uint8Array>;

const label = fc.uint8Array({ minLength: 0, maxLength: 3 }).map((bytes) => bytes.map((byte) => byte % 4));
const path = fc.array(label, { minLength: 1, maxLength: 3 });
/** The client compares labels rightly only when they are one byte long, or one is found. */
const shortPath = fc.array(
  fc.nat(15).map((byte) => Uint8Array.of(byte)),
  { minLength: 1, maxLength: 3 },
);
const value = fc.uint8Array({ maxLength: 4 });
const key = (labels: Path): string => labels.map((item) => `${toHex(item)}/`).join('');

/** Leaves without those below or above an earlier one. */
function modelOf(entries: readonly (readonly [Path, Uint8Array])[]): [Path, Uint8Array][] {
  const kept: [Path, Uint8Array][] = [];
  for (const [labels, bytes] of entries)
    if (!kept.some(([other]) => key(other).startsWith(key(labels)) || key(labels).startsWith(key(other))))
      kept.push([labels, bytes]);
  return kept;
}

function treeOf(entries: readonly (readonly [Path, Uint8Array])[]): LabelledTree {
  return entries.reduce((tree, [labels, bytes]) => tree.set(labels, bytes), LabelledTree.empty);
}

/** What the specification's lookup must say about a path of a complete tree. */
function expected(model: readonly (readonly [Path, Uint8Array])[], labels: Path): string {
  const found = model.find(([other]) => key(other) === key(labels));
  if (found !== undefined) return `found ${toHex(found[1])}`;
  return model.some(([other]) => key(other).startsWith(key(labels))) ? 'error' : 'absent';
}

function said(labels: Path, tree: HashTree): string {
  const lookup = lookupPath(labels, tree);
  return lookup.kind === 'found' ? `found ${toHex(lookup.value)}` : lookup.kind;
}

function saidByClient(labels: Path, tree: HashTree): string {
  const lookup = lookup_path([...labels], tree as never);
  return lookup.status === 'Found' ? `found ${toHex(lookup.value)}` : lookup.status.toLowerCase();
}

describe('labelled tree', () => {
  it('has a root hash that is independent of the order of insertion and of what was removed', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(path, value), { maxLength: 40 }),
        fc.infiniteStream(fc.nat()),
        fc.array(label),
        (entries, numbers, extra) => {
          const model = modelOf(entries);
          const shuffled = model
            .map((entry) => [numbers.next().value ?? 0, entry] as const)
            .sort((a, b) => a[0] - b[0])
            .map(([, entry]) => entry);
          const root = toHex(treeOf(model).rootHash);
          assert.equal(toHex(treeOf(shuffled).rootHash), root);
          let tree = treeOf(shuffled);
          for (const name of extra)
            if (tree.subtree([name]) === undefined) tree = tree.set([name], name).remove([name]);
          assert.equal(toHex(tree.rootHash), root);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('behaves like a map of paths, and never changes once made', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(label, label, fc.option(value)), { maxLength: 60 }), (steps) => {
        const model: Model = new Map();
        let tree = LabelledTree.empty;
        const past: [LabelledTree, string, number][] = [];
        for (const [first, second, bytes] of steps) {
          const labels = [first, second];
          if (bytes === null) {
            model.delete(key(labels));
            tree = tree.remove(labels);
          } else {
            model.set(key(labels), bytes);
            tree = tree.set(labels, bytes);
          }
          past.push([tree, toHex(tree.rootHash), model.size]);
        }
        const leaves: [string, Uint8Array | undefined][] = [];
        let before: Uint8Array | undefined;
        for (const [name, below] of tree.children()) {
          assert.ok(before === undefined || compareBytes(before, name) < 0);
          before = name;
          for (const [inner, leaf] of below.children()) leaves.push([key([name, inner]), leaf.value]);
        }
        assert.deepEqual(new Map(leaves), model);
        for (const [labels, bytes] of model)
          assert.deepEqual(tree.get(labels.split('/').slice(0, -1).map(fromHex)), bytes);
        for (const [old, root, size] of past) {
          const rebuilt = [...old.children()].reduce(
            (sum, [name, below]) =>
              sum.set(
                [name],
                [...below.children()].reduce((inner, [n, leaf]) => inner.set([n], leaf), LabelledTree.empty),
              ),
            LabelledTree.empty,
          );
          assert.equal(toHex(rebuilt.rootHash), root);
          assert.equal([...old.children()].flatMap(([, below]) => [...below.children()]).length, size);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('gives witnesses with the same root that answer every path asked for and prune what was not', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(path, value), { maxLength: 25 }),
        fc.array(path, { minLength: 1, maxLength: 5 }),
        fc.array(path, { maxLength: 20 }),
        (entries, asked, others) => {
          const model = modelOf(entries);
          const tree = treeOf(model);
          const witness = tree.witness(asked);
          assert.deepEqual(reconstruct(witness), tree.rootHash);
          assert.ok(isWellFormed(witness));
          const full = tree.witness([[]]);
          assert.deepEqual(reconstruct(full), tree.rootHash);
          for (const labels of asked) {
            assert.equal(said(labels, full), expected(model, labels));
            // A path to a forest is "error" in a complete tree and stays so: all of it is revealed.
            assert.equal(said(labels, witness), expected(model, labels));
            for (const [leaf, bytes] of model)
              if (key(leaf).startsWith(key(labels))) assert.equal(said(leaf, witness), `found ${toHex(bytes)}`);
          }
          // Nothing is ever said that is not so, and no value is shown that nobody asked for.
          for (const labels of [...others, ...model.map(([leaf]) => leaf)]) {
            const answer = said(labels, witness);
            if (answer === 'found' || answer === 'absent') assert.equal(answer, expected(model, labels));
            const wanted = asked.some((item) => key(labels).startsWith(key(item)) || key(item).startsWith(key(labels)));
            if (!wanted) assert.ok(!answer.startsWith('found'), 'an unrequested value was revealed');
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('is read alike by the official client', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(shortPath, value), { minLength: 1, maxLength: 25 }),
        fc.array(shortPath, { minLength: 1, maxLength: 4 }),
        fc.array(shortPath, { maxLength: 10 }),
        async (entries, asked, others) => {
          const model = modelOf(entries);
          const tree = treeOf(model);
          const witness = hashTreeFromCbor(decodeCbor(encodeCbor(tree.witness(asked))));
          assert.equal(toHex(await reconstructByClient(witness as never)), toHex(tree.rootHash));
          for (const labels of [...asked, ...others]) {
            // The client has no word for "below a leaf".
            if (model.some(([leaf]) => key(labels).startsWith(key(leaf)) && key(labels) !== key(leaf))) continue;
            const answer = saidByClient(labels, witness);
            // Of places that were not asked for it may know less than the specification's lookup.
            if (asked.includes(labels) || answer !== 'unknown') assert.equal(answer, said(labels, witness));
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('prunes an unrequested sibling rather than leaving it out', () => {
    const tree = LabelledTree.empty
      .set(pathOf('canister', 'x', 'controllers'), utf8('c'))
      .set(pathOf('canister_ranges', 's', 'shard'), utf8('r'))
      .set(pathOf('request_status'), LabelledTree.empty)
      .set(pathOf('time'), utf8('t'));
    const ranges = tree.witness([pathOf('canister_ranges', 's'), pathOf('time')]);
    assert.equal(lookupPath(pathOf('canister', 'x'), ranges).kind, 'unknown');
    assert.equal(saidByClient(pathOf('canister_ranges', 's', 'shard'), ranges), `found ${toHex(utf8('r'))}`);
    assert.equal(saidByClient(pathOf('Time'), tree.witness([pathOf('time')])), 'unknown');
    const status = tree.witness([pathOf('request_status', 'r', 'status')]);
    assert.equal(saidByClient(pathOf('request_status', 'r', 'status'), status), 'absent');
  });

  it('orders a label before those it is a prefix of', () => {
    const tree = ['canister_ranges', 'canister', '', 'b', 'canister\0'].reduce(
      (sum, name) => sum.set(pathOf(name), utf8('v')),
      LabelledTree.empty,
    );
    assert.deepEqual(
      [...tree.children()].map(([name]) => new TextDecoder().decode(name)),
      ['', 'b', 'canister', 'canister\0', 'canister_ranges'],
    );
  });

  it('reads a deferred subtree like any other and makes it only when needed', () => {
    let made = 0;
    const inner = LabelledTree.empty.set(pathOf('x'), utf8('1')).set(pathOf('y'), utf8('2'));
    const tree = LabelledTree.empty.set(
      pathOf('a'),
      LabelledTree.deferred(() => {
        made++;
        return inner;
      }),
    );
    const plain = LabelledTree.empty.set(pathOf('a'), inner);
    assert.equal(made, 0);
    assert.deepEqual(tree.rootHash, plain.rootHash);
    assert.deepEqual(tree.set(pathOf('b'), utf8('3')).rootHash, plain.set(pathOf('b'), utf8('3')).rootHash);
    assert.equal(made, 1);
    assert.deepEqual(tree.witness([pathOf('a', 'x')]), plain.witness([pathOf('a', 'x')]));
    assert.deepEqual(tree.set(pathOf('a', 'z'), utf8('3')).rootHash, plain.set(pathOf('a', 'z'), utf8('3')).rootHash);
    assert.deepEqual(tree.get(pathOf('a', 'y')), utf8('2'));
  });
});

describe('hash tree', () => {
  const example =
    '8301830183024161830183018302417882034568656c6c6f810083024179820345776f726c6483024162820344676f6f648301830241638100830241648203476d6f726e696e67';
  const pruned =
    '83018301830241618301820458201b4feff9bef8131788b0c9dc6dbad6e81e524249c879e9f10f71ce3749f5a63883024179820345776f726c6483024162820458207b32ac0c6ba8ce35ac82c255fc7906f7fc130dab2a090f80fe12f9c2cae83ba6830182045820ec8324b8a1f1ac16bd2e806edba78006479c9877fed4eb464a25485465af601d830241648203476d6f726e696e67';
  const root = 'eb5c5b2195e62d996b84c9bcc8259d19a83786a2f59e0878cec84c811f669aa0';

  it('reproduces the specification’s example', () => {
    for (const hex of [example, pruned]) {
      const tree = hashTreeFromCbor(decodeCbor(fromHex(hex)));
      assert.equal(toHex(reconstruct(tree)), root);
      assert.ok(isWellFormed(tree));
      assert.equal(toHex(encodeCbor(tree)), hex);
    }
    const tree = hashTreeFromCbor(decodeCbor(fromHex(pruned)));
    const answers: [Path, string][] = [
      [pathOf('a', 'a'), 'unknown'],
      [pathOf('a', 'y'), `found ${toHex(utf8('world'))}`],
      [pathOf('aa'), 'absent'],
      [pathOf('ax'), 'absent'],
      [pathOf('b'), 'unknown'],
      [pathOf('bb'), 'unknown'],
      [pathOf('d'), `found ${toHex(utf8('morning'))}`],
      [pathOf('e'), 'absent'],
    ];
    for (const [labels, answer] of answers) assert.equal(said(labels, tree), answer);
  });

  it('refuses what is no hash tree, and knows ill-formed ones', () => {
    for (const hex of ['80', '8105', '820100', '820400', '82044100', '83020000', '8203f6', 'a0', '8100' + '00'])
      assert.throws(() => hashTreeFromCbor(decodeCbor(fromHex(hex))), hex);
    const leaf: HashTree = [3, utf8('v')];
    assert.ok(!isWellFormed([1, [2, utf8('b'), leaf], [2, utf8('a'), leaf]]));
    assert.ok(!isWellFormed([1, [2, utf8('a'), leaf], leaf]));
    assert.ok(!isWellFormed([2, utf8('a'), [1, leaf, leaf]]));
    assert.ok(isWellFormed([1, [2, utf8('a'), leaf], [4, new Uint8Array(32)]]));
  });
});
