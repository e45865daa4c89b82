import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeState, encodeState, toHex } from '../codec/index.ts';
import { canisterIdFromNumber, type Ingress, MANAGEMENT_CANISTER } from '../model/index.ts';
import { type Script, type ScriptApi, ScriptedSandbox } from './scripted-sandbox.ts';
import { addCanister, copyState, cyclesIn, newState, SECOND, TestSubnet } from './test-subnet.ts';

/** What a canister does with a request: a tree of calls, walked with the message itself as the program. */
interface Step {
  readonly callee: number;
  readonly cycles: number;
  readonly accept: number;
  readonly timeout: number;
  readonly work: number;
  /** What the callee does with it, then with the answers. */
  readonly ending: 'reply' | 'reject' | 'trap' | 'silent' | 'trap late';
  readonly then: readonly Step[];
}

const CANISTERS = 4;

const step: fc.Arbitrary<Step> = fc.letrec<{ step: Step }>((tie) => ({
  step: fc.record({
    callee: fc.nat({ max: CANISTERS }), // the last one does not exist
    cycles: fc.nat({ max: 5_000 }),
    accept: fc.nat({ max: 4_000 }),
    timeout: fc.constantFrom(0, 0, 0, 1, 30),
    work: fc.constantFrom(0, 0, 0, 0, 25_000_000, 120_000_000),
    ending: fc.constantFrom<Step['ending']>('reply', 'reply', 'reject', 'trap', 'silent', 'trap late'),
    // biome-ignore lint/suspicious/noThenProperty: a plan in words
    then: fc.oneof({ depthSize: 'small' }, fc.constant([]), fc.array(tie('step'), { maxLength: 3 })),
  }),
})).step;

/** Each canister numbers what it sends to each other and checks what arrives: order per pair, and one answer each. */
const script: Script = {
  update: { act },
  callbacks: { answered, refused: answered, cleaned: () => undefined },
};

interface Book {
  /** Next number to use, by callee. */
  sent: Record<string, number>;
  /** Numbers seen from a caller, in order. */
  seen: Record<string, number[]>;
  /** Answers that came, by number of the call. */
  answers: Record<string, number>;
  open: Record<string, number>;
}

interface Message {
  readonly step: Step;
  readonly number: number;
}

function bookOf(api: ScriptApi): Book {
  return (api.json as Book | undefined) ?? { sent: {}, seen: {}, answers: {}, open: {} };
}

function act(api: ScriptApi): void {
  const { step: plan, number } = decodeState(api.arg) as Message;
  const book = bookOf(api);
  const from = api.environment.caller.key;
  book.seen[from] = [...(book.seen[from] ?? []), number].slice(-40);
  api.instructions = BigInt(plan.work);
  api.accept(BigInt(plan.accept));
  api.json = book;
  if (plan.ending === 'trap') api.trap('as planned');
  let made = 0;
  for (const next of plan.then) {
    const callee = canisterIdFromNumber(BigInt(next.callee));
    const nextNumber = book.sent[callee.key] ?? 0;
    const code = api.call(
      {
        callee,
        method: 'act',
        arg: encodeState({ step: next, number: nextNumber }),
        cycles: BigInt(next.cycles),
        onReply: 'answered',
        onReject: 'refused',
        onCleanup: 'cleaned',
        ...(next.timeout === 0 ? {} : { timeoutSeconds: next.timeout }),
      },
      plan.ending === 'trap late' ? 1n : 0n,
    );
    if (code !== 0) continue;
    book.sent[callee.key] = nextNumber + 1;
    made += 1;
  }
  if (plan.ending === 'reply') api.reply('done');
  else if (plan.ending === 'reject') api.reject('as planned');
  else if (made === 0 && plan.ending === 'trap late') api.trap('nothing to wait for');
}

function answered(api: ScriptApi): void {
  if (api.callbackEnv === 1n) api.trap('late, as planned');
  if (!api.environment.responded) api.reply('at last');
}

function newSubnet(): TestSubnet {
  const state = newState();
  for (let i = 0; i < CANISTERS; i++) addCanister(state, 'actor');
  return new TestSubnet(state, new ScriptedSandbox({ actor: script }));
}

interface Plan {
  readonly steps: readonly Step[];
  readonly restartAfter: number;
  readonly jumps: readonly number[];
}

const plan: fc.Arbitrary<Plan> = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 5 }),
  restartAfter: fc.nat({ max: 4 }),
  jumps: fc.array(fc.constantFrom(1, 1, 5, 20), { maxLength: 4 }),
});

/** Runs a plan to its end, with invariants after every round. @returns the state hashes of all rounds. */
async function play(subnet: TestSubnet, { steps, restartAfter, jumps }: Plan, restarts: boolean): Promise<string[]> {
  const hashes: string[] = [];
  const messages: Ingress[] = steps.map((first) =>
    subnet.message(
      canisterIdFromNumber(BigInt(first.callee % CANISTERS)),
      'act',
      encodeState({ step: first, number: 0 }),
    ),
  );
  for (let round = 0; round < 300; round++) {
    if (round > 0 && !subnet.replica.busy && subnet.replica.nextDeadline() === undefined) break;
    if (restarts && round === restartAfter) await subnet.restart();
    const jump = (jumps[round] ?? 1) * (subnet.replica.busy ? 1 : 10);
    const outcome = await subnet.round(round === 0 ? messages : [], (BigInt(jump) * SECOND) / 4n);
    hashes.push(toHex(outcome.stateHash));
    const { state } = subnet;
    assert.equal(cyclesIn(state), state.cyclesMinted - state.cyclesBurned, 'cycles are conserved');
    for (const canister of state.canisters.values()) checkBooks(canister);
  }
  for (const message of messages) assert.notEqual(subnet.response(message), undefined, 'every message was answered');
  for (const canister of subnet.state.canisters.values()) {
    assert.equal(canister.callContexts.size, 0, 'no call context is left');
    assert.equal(canister.callbacks.size, 0, 'every request got its response');
    assert.equal(canister.outstanding.size, 0, 'every slot is free again');
    assert.equal(canister.input.length, 0);
    assert.equal(canister.paused, undefined);
  }
  assert.equal((subnet.sandbox as ScriptedSandbox).livePauses, 0, 'every live stack was settled');
  return hashes;
}

/** The callbacks of a canister are exactly what its call contexts wait for. */
function checkBooks(canister: ReturnType<typeof addCanister>): void {
  const open = new Map<string, number>();
  const outstanding = new Map<string, number>();
  for (const callback of canister.callbacks.values()) {
    const id = String(callback.callContextId);
    open.set(id, (open.get(id) ?? 0) + 1);
    outstanding.set(callback.callee.key, (outstanding.get(callback.callee.key) ?? 0) + 1);
  }
  for (const [id, context] of canister.callContexts) assert.equal(context.openCallbacks, open.get(id) ?? 0);
  assert.deepEqual([...canister.outstanding].sort(), [...outstanding].sort());
}

/** Requests that two canisters exchanged, in the order in which they were begun. */
function checkOrder(subnet: TestSubnet): void {
  const seen = new Map<string, number[]>();
  for (const event of (subnet.sandbox as ScriptedSandbox).events) {
    if (event.entry.kind !== 'update' || event.environment.caller.bytes.length !== 10) continue;
    const { number } = decodeState(event.entry.arg) as Message;
    const pair = `${event.environment.caller.key} ${event.canister}`;
    seen.set(pair, [...(seen.get(pair) ?? []), number]);
  }
  for (const [pair, numbers] of seen) {
    const sorted = numbers.toSorted((a, b) => a - b);
    assert.deepEqual(numbers, sorted, `requests of ${pair} kept their order`);
    assert.equal(new Set(numbers).size, numbers.length, `no request of ${pair} ran twice`);
  }
}

test('random call graphs: one response each, order per pair, cycles conserved, nothing left behind', async () => {
  await fc.assert(
    fc.asyncProperty(plan, async (one) => {
      const subnet = newSubnet();
      await play(subnet, one, false);
      checkOrder(subnet);
    }),
    { numRuns: 150 },
  );
});

test('the same batches give the same state hashes, restarted in the middle or not, from a copied state or not', async () => {
  await fc.assert(
    fc.asyncProperty(plan, async (one) => {
      const through = await play(newSubnet(), one, false);
      const restarted = await play(newSubnet(), one, true);
      assert.deepEqual(restarted, through);
      const first = newSubnet();
      const copied = new TestSubnet(copyState(first.state), first.sandbox);
      assert.deepEqual(await play(copied, one, false), through);
    }),
    { numRuns: 60 },
  );
});

test('canisters that are stopped, uninstalled or deleted in the middle of calls', async () => {
  const disturbance = fc.record({
    method: fc.constantFrom('stop', 'start', 'uninstall', 'delete'),
    canister: fc.nat({ max: CANISTERS - 1 }),
    round: fc.nat({ max: 5 }),
  });
  await fc.assert(
    fc.asyncProperty(plan, fc.array(disturbance, { minLength: 1, maxLength: 4 }), async ({ steps }, disturbances) => {
      const subnet = newSubnet();
      const messages = steps.map((first) =>
        subnet.message(
          canisterIdFromNumber(BigInt(first.callee % CANISTERS)),
          'act',
          encodeState({ step: first, number: 0 }),
        ),
      );
      for (let round = 0; round < 400; round++) {
        if (round > 5 && !subnet.replica.busy && subnet.replica.nextDeadline() === undefined) break;
        const now = disturbances
          .filter((one) => one.round === round)
          // A canister is deleted only when it is stopped, as the management canister sees to.
          .filter(({ method, canister }) => {
            const state = subnet.state.canisters.get(canisterIdFromNumber(BigInt(canister)).key);
            return method !== 'delete' || state?.status.kind === 'stopped';
          })
          .map(({ method, canister }) => {
            const id = canisterIdFromNumber(BigInt(canister));
            return { ...subnet.message(MANAGEMENT_CANISTER, method, id.bytes), effectiveCanisterId: id };
          });
        await subnet.round(
          round === 0 ? [...messages, ...now] : now,
          subnet.replica.busy ? SECOND / 10n : 40n * SECOND,
        );
        const { state } = subnet;
        assert.equal(cyclesIn(state), state.cyclesMinted - state.cyclesBurned, 'cycles are conserved');
        for (const canister of state.canisters.values()) checkBooks(canister);
      }
      for (const message of messages)
        assert.notEqual(subnet.response(message), undefined, 'every message was answered');
      for (const canister of subnet.state.canisters.values()) {
        assert.equal(canister.callContexts.size, 0);
        assert.equal(canister.callbacks.size, 0);
      }
    }),
    { numRuns: 150 },
  );
});
