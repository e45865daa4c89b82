/**
 * What a round costs with the real sandbox and without a disk: microseconds of CPU for an update, a call between two
 * canisters, a query; and how that depends on how many messages share a round and how many canisters the subnet holds.
 * `node bench/replica/run.ts [--messages N]`. Figures of one machine are in `bench/results/replica.md`; CPU is what the
 * process used, so it holds on a busy machine too.
 */
import { parseArgs } from 'node:util';
import wabtFactory from 'wabt';
import { sha256, toHex, utf8 } from '../../src/codec/index.ts';
import { DEFAULT_LIMITS, type Ingress, type Principal } from '../../src/model/index.ts';
import { createManagement } from '../../src/replica/management/index.ts';
import { addCanister, newState, TestSubnet, USER } from '../../src/replica/test-subnet.ts';
import { createSandbox } from '../../src/sandbox/index.ts';

const { values } = parseArgs({ options: { messages: { type: 'string', default: '20000' } } });
const messages = Number(values.messages);

/** Counts in its memory; `forward` calls `inc` of the canister that the argument names. */
const WAT = `(module
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (import "ic0" "msg_arg_data_copy" (func $arg (param i32 i32 i32)))
  (import "ic0" "call_new" (func $call_new (param i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "ic0" "call_perform" (func $call_perform (result i32)))
  (memory 1) (table 1 funcref) (elem (i32.const 0) $answered) (data (i32.const 64) "inc")
  (func (export "canister_update inc")
    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
    (call $append (i32.const 0) (i32.const 4)) (call $reply))
  (func (export "canister_query get") (call $append (i32.const 0) (i32.const 4)) (call $reply))
  (func (export "canister_update forward")
    (call $arg (i32.const 128) (i32.const 0) (i32.const 10))
    (call $call_new (i32.const 128) (i32.const 10) (i32.const 64) (i32.const 3)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
    (drop (call $call_perform)))
  (func $answered (param i32) (call $append (i32.const 0) (i32.const 4)) (call $reply)))`;

const wabt = await wabtFactory();
const parsed = wabt.parseWat('bench.wat', WAT, {});
const wasm = new Uint8Array(parsed.toBinary({}).buffer);
parsed.destroy();

/** A subnet whose first canisters have the code; the others are empty. */
function subnetOf(withCode: number, empty: number): { subnet: TestSubnet; ids: Principal[] } {
  const state = newState();
  const moduleHash = toHex(sha256(wasm));
  state.modules.set(moduleHash, wasm);
  const ids = Array.from({ length: withCode }, () => {
    const canister = addCanister(state, undefined);
    canister.code = { moduleHash, installedAt: state.time, customSections: [] };
    return canister.id;
  });
  for (let i = 0; i < empty; i++) addCanister(state, undefined);
  const sandbox = createSandbox({ limits: DEFAULT_LIMITS });
  return { subnet: new TestSubnet(state, sandbox, { management: createManagement() }), ids };
}

/** The code was put into the state without an installation: its first image is made here. */
async function instantiate(subnet: TestSubnet, ids: readonly Principal[]): Promise<void> {
  for (const id of ids) {
    const canister = subnet.state.canisters.get(id.key);
    if (canister === undefined) continue;
    const { heap, stable, generation } = canister;
    const image = { id, module: subnet.sandbox.prepare(wasm), heap, stable, wasmState: undefined, generation };
    const entry = { kind: 'install', hook: 'canister_init', arg: new Uint8Array(0), heapKept: false } as const;
    const step = await subnet.sandbox.execute(
      image,
      entry,
      {
        time: subnet.state.time,
        caller: USER,
        deadline: 0n,
        canisterStatus: 1,
        canisterVersion: 1n,
        controllers: [],
        subnetId: id,
        subnetSize: 13,
        rootKey: new Uint8Array(133),
        environmentVariables: [],
        replicated: true,
        costSchedule: 'free',
        balance: canister.balance,
        freezingThresholdCycles: 0n,
        cyclesAvailable: 0n,
        cyclesRefunded: 0n,
        responded: true,
        wasmMemoryLimitBytes: 0n,
        growableBytes: 1n << 30n,
        queueCapacity: () => 0,
        totalInstructions: 1_000_000n,
        callContextInstructions: 0n,
      },
      1_000_000n,
    );
    if (!step.done || step.result.error !== undefined) throw new Error('the canister could not be made');
    canister.wasmState = step.result.wasmState;
  }
}

function cpuMicros(since?: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return user + system;
}

async function measure(
  name: string,
  perRound: number,
  { subnet, ids }: ReturnType<typeof subnetOf>,
  messageOf: (subnet: TestSubnet, id: Principal, other: Principal) => Ingress,
): Promise<void> {
  await instantiate(subnet, ids);
  const at = (i: number): Principal => ids[i % ids.length] ?? USER;
  const rounds = async (count: number): Promise<void> => {
    for (let round = 0; round < count; round++) {
      const batch = Array.from({ length: perRound }, (_, i) => messageOf(subnet, at(round + i), at(round + i + 1)));
      await subnet.round(batch);
      subnet.batches.length = 0;
    }
    while (subnet.replica.busy) await subnet.round();
  };
  const count = Math.max(1, Math.ceil(messages / perRound));
  await rounds(Math.ceil(count / 4));
  const before = process.cpuUsage();
  await rounds(count);
  const cpu = cpuMicros(before);
  console.log(`| ${name} | ${perRound} | ${(cpu / count).toFixed(0)} | ${(cpu / count / perRound).toFixed(1)} |`);
}

const inc = (subnet: TestSubnet, id: Principal): Ingress => subnet.message(id, 'inc');
const forward = (subnet: TestSubnet, id: Principal, other: Principal): Ingress =>
  subnet.message(id, 'forward', other.bytes);

console.log('| what | messages a round | µs CPU a round | µs CPU a message |\n|---|---|---|---|');
await measure('update, one canister', 1, subnetOf(1, 0), inc);
await measure('update, one canister', 100, subnetOf(1, 0), inc);
await measure('update, 100 canisters', 100, subnetOf(100, 0), inc);
await measure('update, one of 20,000 canisters', 1, subnetOf(1, 19_999), inc);
await measure('update that calls another canister', 1, subnetOf(2, 0), forward);
await measure('update that calls another canister', 100, subnetOf(2, 0), forward);

{
  const { subnet, ids } = subnetOf(1, 0);
  await instantiate(subnet, ids);
  const [id = USER] = ids;
  const query = { sender: USER, canisterId: id, effectiveCanisterId: id, method: 'get', arg: utf8('') };
  for (let i = 0; i < messages / 4; i++) await subnet.replica.query(query);
  const before = process.cpuUsage();
  for (let i = 0; i < messages; i++) await subnet.replica.query(query);
  console.log(`| query | – | – | ${(cpuMicros(before) / messages).toFixed(1)} |`);
}
