import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex, utf8 } from '../../codec/index.ts';
import { type Ingress, MANAGEMENT_CANISTER } from '../../model/index.ts';
import type { CanisterState, SubnetState } from '../../state/index.ts';
import { type Script, ScriptedSandbox } from '../scripted-sandbox.ts';
import { copyState, cyclesIn, newState, TestSubnet, USER } from '../test-subnet.ts';
import { modulesOf } from './canister-record.ts';
import { createManagement } from './index.ts';
import { argument, STRANGER, settings, upgrade, wire } from './test-client.ts';

/** Any sequence of management calls, several to a round, some over many slices, with restarts in between. */

const slow = (instructions: bigint): NonNullable<Script['hooks']>[string] => {
  return (api) => {
    api.instructions = instructions;
    api.json = `${String(api.json ?? '')}${instructions} `.slice(-200);
  };
};
const SCRIPTS: Record<string, Script> = {
  plain: { update: { go: (api) => api.reply('gone') } },
  slow: { hooks: { canister_init: slow(25_000_000n), canister_pre_upgrade: slow(15_000_000n) } },
  slower: { hooks: { canister_post_upgrade: slow(45_000_000n), canister_init: slow(5n) } },
  failing: { hooks: { canister_init: (api) => api.trap('no'), canister_post_upgrade: (api) => api.trap('no') } },
  greedy: {
    hooks: {
      canister_init: (api) => {
        api.wasmPages = 10_000;
        api.burned = 1_000n;
        api.balance -= 1_000n;
      },
    },
  },
};

type Operation =
  | { readonly kind: 'create' }
  | { readonly kind: 'restart' }
  | { readonly kind: 'wait' }
  | { readonly kind: 'settings'; readonly canister: number; readonly value: Record<string, unknown> }
  | { readonly kind: 'install'; readonly canister: number; readonly module: string; readonly mode: string }
  | { readonly kind: 'message'; readonly canister: number }
  | { readonly kind: 'take' | 'load' | 'forget'; readonly canister: number }
  | {
      readonly kind: 'call';
      readonly canister: number;
      readonly method: string;
      readonly sender: 'user' | 'stranger';
    };

const canister = fc.nat(2);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('create', 'restart', 'wait') }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('settings'),
      canister,
      value: fc.constantFrom<Record<string, unknown>>(
        { freezing_threshold: 0n },
        { memory_allocation: 1n << 33n },
        { compute_allocation: 50n },
        { controllers: [wire(USER), wire(STRANGER)] },
      ),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('install'),
      canister,
      module: fc.constantFrom(...Object.keys(SCRIPTS), 'unknown'),
      mode: fc.constantFrom('install', 'reinstall', 'upgrade'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('message'), canister }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('take', 'load', 'forget'), canister }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('call'),
      canister,
      method: fc.constantFrom(
        'stop_canister',
        'start_canister',
        'delete_canister',
        'uninstall_code',
        'canister_status',
        'provisional_top_up_canister',
        'upload_chunk',
        'clear_chunk_store',
      ),
      sender: fc.constantFrom('user', 'user', 'user', 'stranger'),
    }),
  },
) as fc.Arbitrary<Operation>;

class Run {
  readonly start: SubnetState = newState();
  readonly subnet: TestSubnet = new TestSubnet(copyState(this.start), new ScriptedSandbox(SCRIPTS), {
    management: createManagement(),
  });
  readonly asked: Ingress[] = [];

  #canister(index: number): CanisterState | undefined {
    return [...this.subnet.state.canisters.values()][index];
  }

  messageOf(operation: Operation): Ingress | undefined {
    if (operation.kind === 'create')
      return this.#message('provisional_create_canister_with_cycles', { amount: [3_000_000_000_000n] });
    if (operation.kind === 'restart' || operation.kind === 'wait') return undefined;
    const canister = this.#canister(operation.canister);
    if (canister === undefined) return undefined;
    const id = { canister_id: wire(canister.id) };
    const [snapshot] = canister.snapshots.values() as MapIterator<{ readonly id: Uint8Array }>;
    switch (operation.kind) {
      case 'settings':
        return this.#message('update_settings', { ...id, settings: settings(operation.value) });
      case 'install':
        return this.#message('install_code', {
          ...id,
          mode: operation.mode === 'upgrade' ? upgrade() : { [operation.mode]: null },
          wasm_module: utf8(operation.module),
        });
      case 'message':
        return this.subnet.message(canister.id, 'go');
      case 'take':
        return this.#message('take_canister_snapshot', id);
      case 'load':
      case 'forget': {
        const method = operation.kind === 'load' ? 'load_canister_snapshot' : 'delete_canister_snapshot';
        return this.#message(method, { ...id, snapshot_id: snapshot?.id ?? new Uint8Array(18) });
      }
      case 'call': {
        const message = this.#message(operation.method, { ...id, amount: 5n, chunk: utf8('chunk') });
        return operation.sender === 'user' ? message : { ...message, sender: STRANGER };
      }
    }
  }

  #message(method: string, value: Record<string, unknown>): Ingress {
    return this.subnet.message(MANAGEMENT_CANISTER, method, argument(method, value));
  }

  check(): void {
    const { state } = this.subnet;
    assert.equal(state.cyclesMinted - state.cyclesBurned, cyclesIn(state), 'cycles are conserved');
    const needed = [...state.canisters.values()].flatMap(modulesOf).filter((hash) => hash !== undefined);
    assert.deepEqual(
      [...state.modules.keys()].sort(),
      [...new Set(needed)].sort(),
      'modules that are needed, no others',
    );
    for (const { history, snapshots } of state.canisters.values()) {
      assert.ok(history.length <= 20);
      assert.ok(snapshots.size <= 10);
    }
  }
}

test('whatever is asked, everything is answered once, cycles are conserved, and a replay gives the same state', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(operation, fc.boolean()), { minLength: 20, maxLength: 40, size: 'max' }),
      async (operations) => {
        const run = new Run();
        // Something to work on from the beginning.
        const first = [run.messageOf({ kind: 'create' }), run.messageOf({ kind: 'create' })];
        await run.subnet.call(...first.filter((message) => message !== undefined));
        let round: Ingress[] = [];
        for (const [operation, more] of operations) {
          const message = run.messageOf(operation);
          if (message !== undefined) {
            round.push(message);
            run.asked.push(message);
          }
          if (operation.kind === 'restart') await run.subnet.restart();
          if (more && operation.kind !== 'restart') continue;
          await run.subnet.round(round);
          round = [];
          run.check();
        }
        await run.subnet.call(...round);
        run.check();
        for (const message of run.asked) {
          const status = run.subnet.state.ingressHistory.get(toHex(message.requestId))?.status.status;
          assert.ok(status === 'replied' || status === 'rejected', `${message.methodName} is ${status}`);
        }
        const again = new TestSubnet(copyState(run.start), new ScriptedSandbox(SCRIPTS), {
          management: createManagement(),
        });
        for (const batch of run.subnet.batches) await again.replica.execute(batch);
        assert.equal(toHex(again.state.stateHash), toHex(run.subnet.state.stateHash));
      },
    ),
    { numRuns: 40 },
  );
});
