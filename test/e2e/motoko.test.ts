/** Motoko programs, compiled here, in both ways of keeping their data, on the real process. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Actor, type HttpAgent } from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';
import type { Principal } from '@icp-sdk/core/principal';
import { deployed, installCode } from '../canisters/index.ts';
import { motokoProgram, type Persistence } from '../motoko-programs/index.ts';
import { NetworkProcess } from '../network-process/index.ts';

let network: NetworkProcess;
let agent: HttpAgent;
before(async () => {
  network = await NetworkProcess.start();
  agent = network.agent();
});
after(async () => network[Symbol.asyncDispose]());

const KINDS: readonly Persistence[] = ['enhanced', 'classic'];
const keep = (kind: Persistence): 'upgrade' | 'upgrade-keep' => (kind === 'enhanced' ? 'upgrade-keep' : 'upgrade');

function actor<T>(canisterId: Principal, methods: Record<string, IDL.FuncClass>): T {
  return Actor.createActor(() => IDL.Service(methods), { agent, canisterId }) as unknown as T;
}

const update = (args: IDL.Type[], results: IDL.Type[]): IDL.FuncClass =>
  IDL.Func(args as IDL.GenericIdlFuncArgs, results as IDL.GenericIdlFuncRets, []);
const query = (args: IDL.Type[], results: IDL.Type[], kind = 'query'): IDL.FuncClass =>
  IDL.Func(args as IDL.GenericIdlFuncArgs, results as IDL.GenericIdlFuncRets, [kind]);

interface Counter {
  increment(): Promise<bigint>;
  get(): Promise<[bigint, bigint]>;
  trapAfterChange(): Promise<void>;
  whoami(): Promise<Principal>;
}
const counterMethods = {
  increment: update([], [IDL.Nat]),
  get: query([], [IDL.Nat, IDL.Nat]),
  trapAfterChange: update([], []),
  whoami: query([], [IDL.Principal]),
};

for (const kind of KINDS) {
  test(`counter, ${kind}: counts, keeps its value over upgrades, forgets what a trap did`, async () => {
    const wasm = await motokoProgram('counter', kind);
    const id = await deployed(agent, wasm);
    const counter = actor<Counter>(id, counterMethods);
    assert.equal(await counter.increment(), 1n);
    assert.equal(await counter.increment(), 2n);
    await assert.rejects(counter.trapAfterChange(), /assertion failed/);
    assert.deepEqual(await counter.get(), [2n, 2n]);
    await installCode(agent, id, wasm, { mode: keep(kind) });
    assert.deepEqual(await counter.get(), [2n, 0n], 'the transient variable starts anew');
    assert.equal(await counter.increment(), 3n);
    await installCode(agent, id, wasm, { mode: 'reinstall' });
    assert.deepEqual(await counter.get(), [0n, 0n]);
    assert.equal((await counter.whoami()).toText(), '2vxsx-fae');
  });

  test(`notes, ${kind}: data structures, upgrade hooks, traps with a message`, async () => {
    const wasm = await motokoProgram('notes', kind);
    const id = await deployed(agent, wasm);
    const notes = actor<{
      put(key: string, value: string): Promise<void>;
      find(key: string): Promise<[] | [string]>;
      size(): Promise<[bigint, bigint]>;
      fail(text: string): Promise<void>;
    }>(id, {
      put: update([IDL.Text, IDL.Text], []),
      find: query([IDL.Text], [IDL.Opt(IDL.Text)]),
      size: query([], [IDL.Nat, IDL.Nat]),
      fail: update([IDL.Text], []),
    });
    for (let n = 0; n < 20; n++) await notes.put(`key ${n}`, 'ä'.repeat(n));
    await assert.rejects(notes.fail('no such luck'), /no such luck/);
    await installCode(agent, id, wasm, { mode: keep(kind) });
    await installCode(agent, id, wasm, { mode: keep(kind) });
    assert.deepEqual(await notes.size(), [20n, 2n]);
    assert.deepEqual(await notes.find('key 7'), ['äääääää']);
    assert.deepEqual(await notes.find('key 77'), []);
  });

  test(`timers, ${kind}: once, repeatedly, cancelled`, async () => {
    const id = await deployed(agent, await motokoProgram('timers', kind));
    const timers = actor<{
      once(milliseconds: bigint): Promise<void>;
      every(milliseconds: bigint): Promise<void>;
      cancel(): Promise<void>;
      state(): Promise<[bigint, bigint]>;
    }>(id, {
      once: update([IDL.Nat], []),
      every: update([IDL.Nat], []),
      cancel: update([], []),
      state: query([], [IDL.Nat, IDL.Int]),
    });
    await timers.once(50n);
    await timers.every(100n);
    await until(async () => {
      const [ticks, firedAt] = await timers.state();
      return ticks >= 3n && firedAt > 0n;
    });
    await timers.cancel();
    const [ticks] = await timers.state();
    await sleep(400);
    assert.equal((await timers.state())[0], ticks);
  });

  test(`relay, ${kind}: calls between canisters, rejects, randomness, composite queries`, async () => {
    const counter = await deployed(agent, await motokoProgram('counter', kind));
    const id = await deployed(agent, await motokoProgram('relay', kind));
    const relay = actor<{
      twice(target: Principal): Promise<[bigint, bigint]>;
      caught(target: Principal): Promise<string>;
      random(): Promise<bigint>;
      depth(n: bigint): Promise<bigint>;
      who(target: Principal): Promise<Principal>;
    }>(id, {
      twice: update([IDL.Principal], [IDL.Nat, IDL.Nat]),
      caught: update([IDL.Principal], [IDL.Text]),
      random: update([], [IDL.Nat]),
      depth: update([IDL.Nat], [IDL.Nat]),
      who: query([IDL.Principal], [IDL.Principal], 'composite_query'),
    });
    assert.deepEqual(await relay.twice(counter), [1n, 2n]);
    assert.match(await relay.caught(counter), /assertion failed/);
    assert.deepEqual(await relay.twice(counter), [3n, 4n]);
    assert.equal(await relay.random(), 32n);
    assert.equal(await relay.depth(20n), 20n);
    assert.equal((await relay.who(counter)).toText(), id.toText());
  });

  test(`factory, ${kind}: actor classes, cycles for new canisters`, async () => {
    const id = await deployed(agent, await motokoProgram('factory', kind));
    const factory = actor<{ spawn(name: string): Promise<Principal>; poke(id: Principal, n: bigint): Promise<bigint> }>(
      id,
      { spawn: update([IDL.Text], [IDL.Principal]), poke: update([IDL.Principal, IDL.Nat], [IDL.Nat]) },
    );
    const child = await factory.spawn('first');
    assert.equal(await factory.poke(child, 5n), 105n);
    const own = actor<{ name(): Promise<string>; cycles(): Promise<bigint> }>(child, {
      name: query([], [IDL.Text]),
      cycles: query([], [IDL.Nat]),
    });
    assert.equal(await own.name(), 'first');
    assert.ok((await own.cycles()) > 1_000_000_000_000n);
    assert.notEqual((await factory.spawn('second')).toText(), child.toText());
  });
}

test('upgrades between the two ways are refused, and refused upgrades change nothing', async () => {
  const classic = await motokoProgram('counter', 'classic');
  const enhanced = await motokoProgram('counter', 'enhanced');
  const first = await deployed(agent, classic);
  const counter = actor<Counter>(first, counterMethods);
  await counter.increment();
  await assert.rejects(installCode(agent, first, enhanced, { mode: 'upgrade' }), /Detected implicit upgrade/);
  await assert.rejects(installCode(agent, first, classic, { mode: 'upgrade-keep' }), /IC0406|Invalid upgrade option/);
  assert.deepEqual(await counter.get(), [1n, 1n]);

  const second = await deployed(agent, enhanced);
  const other = actor<Counter>(second, counterMethods);
  await other.increment();
  await assert.rejects(installCode(agent, second, enhanced, { mode: 'upgrade' }), /wasm_memory_persistence/);
  assert.deepEqual(await other.get(), [1n, 1n]);
  await installCode(agent, second, enhanced, { mode: 'upgrade-keep' });
  assert.deepEqual(await other.get(), [1n, 0n]);
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(50);
}
