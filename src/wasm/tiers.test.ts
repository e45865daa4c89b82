import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { instantiate, promisingOf, type WasmFunction } from './index.ts';
import { Dice, wat } from './test-wat.ts';

/**
 * Where the budget stops a loop and how deep a recursion goes must not depend on V8's compiler. This file is both the test
 * and, started with an argument, the child process that one tier runs in.
 */
const TIERS = [[], ['--liftoff-only'], ['--no-liftoff'], ['--wasm-tier-up', '--wasm-tiering-budget=100']];

interface Report {
  readonly stops: readonly string[];
  readonly depths: readonly string[];
  readonly wide: readonly string[];
}

async function report(): Promise<Report> {
  return { stops: stops(), depths: await depths(), wide: await wide() };
}

/** Loops of all kinds under small budgets: where each stopped, and with what in memory. */
function stops(): string[] {
  const found: string[] = [];
  for (let seed = 0; seed < 15; seed++) {
    const dice = new Dice(seed);
    const work = (): string =>
      Array.from({ length: 1 + dice.below(4) }, () =>
        dice.one([
          '(local.set 1 (i32.add (local.get 1) (i32.const 3)))',
          '(i32.store (i32.and (local.get 1) (i32.const 0xfff0)) (local.get 0))',
          '(local.set 1 (call $leaf (local.get 1)))',
          '(call $host)',
          '(if (i32.and (local.get 1) (i32.const 4)) (then (local.set 1 (i32.mul (local.get 1) (i32.const 5)))) (else nop nop))',
          '(memory.fill (i32.const 0) (i32.const 1) (i32.and (local.get 1) (i32.const 63)))',
          '(block (br_if 0 (i32.and (local.get 1) (i32.const 1))) (local.set 0 (i32.xor (local.get 0) (local.get 1))))',
          '(loop (br_if 0 (i32.lt_s (local.tee 2 (i32.add (local.get 2) (i32.const 1))) (i32.const 5)))) (local.set 2 (i32.const 0))',
        ]),
      ).join('\n');
    const instance = instantiate(
      wat(`(module (import "host" "call" (func $host)) (memory (export "memory") 1)
        (func $leaf (param i32) (result i32) (i32.rotl (local.get 0) (i32.const 7)))
        (func (export "f") (param i32) (local i32 i32) (loop ${work()} (br 0))))`),
      { host: { call: () => undefined } },
    );
    for (const budget of [0n, 1n, 97n, 1000n, 12_345n]) {
      instance.setBudget(budget);
      let message = 'returned';
      try {
        (instance.exports['f'] as WasmFunction)(seed);
      } catch (error) {
        message = String(error);
      }
      const heap = new Uint32Array((instance.exports['memory'] as WebAssembly.Memory).buffer);
      found.push(`${message} ${instance.instructions()} ${heap.reduce((sum, word) => (sum * 31 + word) >>> 0, 0)}`);
    }
  }
  return found;
}

/** A recursion with so many live locals, on the plain stack and on one that can be suspended. */
async function depths(): Promise<string[]> {
  const found: string[] = [];
  for (const locals of [1, 1_000, 40_000]) {
    for (const type of locals === 1_000 ? ['i32', 'i64', 'v128'] : ['i64']) {
      const step =
        type === 'v128'
          ? '(i32x4.splat (global.get $depth))'
          : type === 'i64'
            ? '(i64.extend_i32_s (global.get $depth))'
            : '(global.get $depth)';
      const add = type === 'v128' ? 'i32x4.add' : `${type}.add`;
      // Every local is set before the call and read after it.
      const live = Math.min(locals, 200);
      const instance = instantiate(
        wat(`(module (global $depth (export "depth") (mut i32) (i32.const 0))
          (func $f (export "f") (result ${type}) (local ${`${type} `.repeat(locals)})
            (global.set $depth (i32.add (global.get $depth) (i32.const 1)))
            ${Array.from({ length: live }, (_, i) => `(local.set ${i} ${step})`).join('')}
            (call $f)
            ${Array.from({ length: live }, (_, i) => `(${add} (local.get ${i}))`).join('')})
          (func (export "enter") (drop (call $f))))`),
      );
      const depth = instance.exports['depth'] as WebAssembly.Global;
      const enter = instance.exports['enter'] as WasmFunction;
      for (const kind of ['plain', 'promising', 'plain again']) {
        depth.value = 0;
        let message = 'returned';
        try {
          if (kind === 'promising') await promisingOf(enter)();
          else for (let i = 0; i < 3; i++) enter();
        } catch (error) {
          message = String(error);
        }
        found.push(`${locals} ${type} ${kind}: ${depth.value} ${message}`);
      }
    }
  }
  return found;
}

/** Recursions whose frames are wide for another reason than their locals: what is passed, returned, kept as operands. */
async function wide(): Promise<string[]> {
  const list = (n: number, item: (k: number) => string): string =>
    Array.from({ length: n }, (_, k) => item(k)).join(' ');
  const deeper = '(global.set $depth (i32.add (global.get $depth) (i32.const 1)))';
  const shapes: [name: string, text: string][] = [
    [
      'leaf with many operands',
      `(memory 1) (func $leaf (param i32) (result i32) ${'(i32.load (local.get 0)) '.repeat(8_200)} ${'i32.add '.repeat(8_199)})
      (func (export "f") ${deeper} (drop (call $leaf (i32.const 0))))`,
    ],
  ];
  for (const type of ['f64', 'v128']) {
    const types = (n: number): string => `${type} `.repeat(n);
    const add = type === 'v128' ? 'f64x2.add' : 'f64.add';
    const zeros = (type === 'v128' ? '(v128.const i64x2 0 0) ' : '(f64.const 0) ').repeat(400);
    // Results of arithmetic: each needs a local more before it may be passed on.
    const sums = (n: number, locals: number): string =>
      list(n, (k) => `(${add} (local.get ${k % locals}) (local.get ${(k * 7) % locals}))`);
    shapes.push(
      [
        `${type} passed and returned`,
        `(func $f (param ${types(400)}) (result ${types(400)}) ${deeper} (call $f ${sums(400, 400)}))
        (func (export "f") (call $f ${zeros}) ${'drop '.repeat(400)})`,
      ],
      [
        `${type} operands`,
        `(func $f (export "f") (local ${types(20)}) ${deeper} ${sums(400, 20)} (call $f) ${`${add} `.repeat(399)} drop)`,
      ],
      [
        `${type} results`,
        `(func $zeros (result ${types(400)}) ${zeros})
        (func $f (export "f") ${deeper} (call $zeros) (call $f) ${'drop '.repeat(400)})`,
      ],
      [
        `${type} tail call`,
        `(func $wide (param ${types(400)}) ${deeper} (call $f))
        (func $f (export "f") (local ${types(10)}) (return_call $wide ${sums(400, 10)}))`,
      ],
    );
  }
  const found: string[] = [];
  for (const [name, text] of shapes) {
    const bytes = wat(`(module (global $depth (export "depth") (mut i32) (i32.const 0)) ${text})`);
    const instance = instantiate(bytes, {}, name.startsWith('leaf') ? { stackBytes: 64 * 1024 } : {});
    const depth = instance.exports['depth'] as WebAssembly.Global;
    const f = instance.exports['f'] as WasmFunction;
    const reached: string[] = [];
    for (const run of [f, promisingOf(f)]) {
      depth.value = 0;
      let message = 'returned';
      try {
        await run();
      } catch (error) {
        message = String(error);
      }
      reached.push(`${depth.value} ${message}`);
    }
    assert.equal(reached[1], reached[0], name);
    found.push(`${name}: ${reached[0]}`);
  }
  return found;
}

if (process.argv[2] === 'report') {
  process.stdout.write(JSON.stringify(await report()));
} else {
  test('budget and stack stop the same programs at the same place in every tier', () => {
    const reports = TIERS.map((flags) => {
      const args = [...flags, fileURLToPath(import.meta.url), 'report'];
      return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as Report;
    });
    const [first, ...others] = reports as [Report, ...Report[]];
    for (const other of others) assert.deepEqual(other, first);
    assert.ok(
      first.stops.every((stop) => stop.startsWith('RuntimeError: unreachable')),
      first.stops.join('\n'),
    );
    assert.equal(first.wide.length, 9);
    for (const line of first.wide) assert.match(line, /: [1-9]\d* RuntimeError: unreachable$/);
    const plain = new Map<string, string>();
    for (const line of first.depths) {
      const [, key, depth, message] = /^(\S+ \S+) [^:]*: (\d+) (.*)$/.exec(line) as unknown as [
        string,
        string,
        string,
        string,
      ];
      assert.equal(message, 'RuntimeError: unreachable', line);
      assert.ok(Number(depth) > 0, line);
      // Plain, promising, and plain after both: the same.
      assert.equal(plain.get(key) ?? depth, depth, line);
      plain.set(key, depth);
    }
    assert.equal(plain.size, 5);
  });
}
