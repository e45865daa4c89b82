import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EntryPoint, ExecutionResult } from './contract.ts';
import { SYSTEM_FUNCTIONS } from './system-functions.ts';
import { TestCanister, testSandbox } from './test-canister.ts';

/**
 * The table of interface specification 0.66, "Overview of imports": name, type, contexts; `32` marks the functions for
 * 32-bit pointers only. Kept apart from the implementation's table so that the one checks the other.
 */
const SPECIFICATION = `
  msg_arg_data_size : -> I : I U RQ NRQ TQ CQ Ry CRy F
  msg_arg_data_copy : I I I -> : I U RQ NRQ TQ CQ Ry CRy F
  msg_caller_size : -> I : *
  msg_caller_copy : I I I -> : *
  msg_caller_info_data_size : -> I : U RQ NRQ CQ Ry Rt CRy CRt C CC F
  msg_caller_info_data_copy : I I I -> : U RQ NRQ CQ Ry Rt CRy CRt C CC F
  msg_caller_info_signer_size : -> I : U RQ NRQ CQ Ry Rt CRy CRt C CC F
  msg_caller_info_signer_copy : I I I -> : U RQ NRQ CQ Ry Rt CRy CRt C CC F
  msg_reject_code : -> i32 : Ry Rt CRy CRt C
  msg_reject_msg_size : -> I : Rt CRt
  msg_reject_msg_copy : I I I -> : Rt CRt
  msg_deadline : -> i64 : U Q CQ Ry Rt CRy CRt
  msg_reply_data_append : I I -> : U RQ NRQ TQ CQ Ry Rt CRy CRt
  msg_reply : -> : U RQ NRQ TQ CQ Ry Rt CRy CRt
  msg_reject : I I -> : U RQ NRQ TQ CQ Ry Rt CRy CRt
  msg_cycles_available128 : I -> : U RQ Rt Ry
  msg_cycles_refunded128 : I -> : Rt Ry
  msg_cycles_accept128 : i64 i64 I -> : U RQ Rt Ry
  cycles_burn128 : i64 i64 I -> : I G U RQ Ry Rt C T
  canister_self_size : -> I : *
  canister_self_copy : I I I -> : *
  canister_cycle_balance128 : I -> : *
  canister_liquid_cycle_balance128 : I -> : *
  canister_status : -> i32 : *
  canister_version : -> i64 : *
  subnet_self_size : -> I : *
  subnet_self_copy : I I I -> : *
  msg_method_name_size : -> I : F
  msg_method_name_copy : I I I -> : F
  accept_message : -> : F
  call_new : I I I I I I I I -> : U CQ Ry Rt CRy CRt T
  call_on_cleanup : I I -> : U CQ Ry Rt CRy CRt T
  call_data_append : I I -> : U CQ Ry Rt CRy CRt T
  call_with_best_effort_response : i32 -> : U CQ Ry Rt CRy CRt T
  call_cycles_add128 : i64 i64 -> : U Ry Rt T
  call_perform : -> i32 : U CQ Ry Rt CRy CRt T
  stable64_size : -> i64 : * s
  stable64_grow : i64 -> i64 : * s
  stable64_write : i64 i64 i64 -> : * s
  stable64_read : i64 i64 i64 -> : * s
  root_key_size : -> I : I G U RQ Ry Rt C T
  root_key_copy : I I I -> : I G U RQ Ry Rt C T
  certified_data_set : I I -> : I G U Ry Rt T
  data_certificate_present : -> i32 : *
  data_certificate_size : -> I : NRQ CQ
  data_certificate_copy : I I I -> : NRQ CQ
  time : -> i64 : *
  global_timer_set : i64 -> i64 : I G U Ry Rt C T
  performance_counter : i32 -> i64 : * s
  is_controller : I I -> i32 : * s
  in_replicated_execution : -> i32 : * s
  cost_call : i64 i64 I -> : * s
  cost_create_canister : I -> : * s
  cost_http_request : i64 i64 I -> : * s
  cost_sign_with_ecdsa : I I i32 I -> i32 : * s
  cost_sign_with_schnorr : I I i32 I -> i32 : * s
  cost_vetkd_derive_key : I I i32 I -> i32 : * s
  env_var_count : -> I : *
  env_var_name_size : I -> I : *
  env_var_name_copy : I I I I -> : *
  env_var_name_exists : I I -> i32 : *
  env_var_value_size : I I -> I : *
  env_var_value_copy : I I I I I -> : *
  debug_print : I I -> : * s
  trap : I I -> : * s
  32 msg_cycles_available : -> i64 : U RQ Rt Ry
  32 msg_cycles_refunded : -> i64 : Rt Ry
  32 msg_cycles_accept : i64 -> i64 : U RQ Rt Ry
  32 canister_cycle_balance : -> i64 : *
  32 call_cycles_add : i64 -> : U Ry Rt T
  32 stable_size : -> i32 : * s
  32 stable_grow : i32 -> i32 : * s
  32 stable_write : i32 i32 i32 -> : * s
  32 stable_read : i32 i32 i32 -> : * s
`;

interface Specified {
  readonly name: string;
  readonly params: readonly string[];
  readonly result: string;
  readonly contexts: ReadonlySet<string>;
  readonly only32: boolean;
}

const ALL = ['s', 'I', 'G', 'U', 'RQ', 'NRQ', 'TQ', 'CQ', 'Ry', 'Rt', 'CRy', 'CRt', 'C', 'CC', 'F', 'T'] as const;
type Letter = (typeof ALL)[number];

function specified(): Specified[] {
  return SPECIFICATION.trim()
    .split('\n')
    .map((line) => {
      const [head = '', type = '', letters = ''] = line.split(' : ').map((part) => part.trim());
      const [params = '', result = ''] = type.split('->').map((part) => part.trim());
      const contexts = letters
        .split(' ')
        .flatMap((letter) => (letter === '*' ? ALL.slice(1) : letter === 'Q' ? ['RQ', 'NRQ', 'TQ'] : [letter]));
      return {
        name: head.replace(/^32 /, ''),
        params: params === '' ? [] : params.split(' '),
        result,
        contexts: new Set(contexts),
        only32: head.startsWith('32 '),
      };
    });
}

const TABLE = specified();

/** A canister that calls the n-th function of the table from wherever it is told to. */
function dispatcher(width: 32 | 64): { readonly wat: string; readonly functions: readonly Specified[] } {
  const functions = TABLE.filter((f) => width === 32 || !f.only32);
  const pointer = width === 32 ? 'i32' : 'i64';
  const type = (name: string): string => (name === 'I' ? pointer : name);
  const imports = functions.map(
    (f) =>
      `(import "ic0" "${f.name}" (func $${f.name} (param ${f.params.map(type).join(' ')})${f.result === '' ? '' : ` (result ${type(f.result)})`}))`,
  );
  const bodies = functions.map((f, n) => {
    const call = `(call $${f.name} ${f.params.map((name) => `(${type(name)}.const 0)`).join(' ')})`;
    return `(func $f${n} (param ${pointer}) ${f.result === '' ? call : `(drop ${call})`})`;
  });
  const entries = [
    'canister_pre_upgrade',
    'canister_update run',
    'canister_query look',
    'canister_composite_query run_composite',
    'canister_heartbeat',
    'canister_global_timer',
    'canister_on_low_wasm_memory',
    'canister_inspect_message',
  ].map((name) => `(export "${name}" (func $dispatch))`);
  const wat = `(module
    ${imports.join('\n')}
    (type $callback (func (param ${pointer})))
    (memory ${width === 64 ? 'i64 ' : ''}1)
    (table funcref (elem ${functions.map((_, n) => `$f${n}`).join(' ')}))
    ${bodies.join('\n')}
    (func $dispatch (call_indirect (type $callback) (${pointer}.const 0) (i32.load (${pointer}.const 0))))
    (func $start (if (i32.eq (i32.load (${pointer}.const 4)) (i32.const 1)) (then (call $dispatch))))
    (func (export "canister_post_upgrade")
      (if (i32.eq (i32.load (${pointer}.const 4)) (i32.const 2)) (then (call $dispatch))))
    (start $start)
    ${entries.join('\n')})`;
  return { wat, functions };
}

const NOTHING = new Uint8Array(0);

class Dispatcher extends TestCanister {
  #wat = '';

  async prepare(wat: string): Promise<void> {
    this.#wat = wat;
    await this.install(wat);
  }

  /** Writes the choice of function into the committed heap, as an earlier message would have. */
  #choose(index: number, phase: number): void {
    const page = new Uint8Array(4096);
    new DataView(page.buffer).setUint32(0, index, true);
    new DataView(page.buffer).setUint32(4, phase, true);
    this.heap.write(0, page, 0);
    this.generation++;
  }

  call(index: number, letter: Letter): Promise<ExecutionResult> {
    this.#choose(index, letter === 's' ? 1 : letter === 'I' ? 2 : 0);
    const callback = { fun: BigInt(index), env: 0n };
    const reject = { rejectCode: 4, message: 'no' } as const;
    const entry = (point: EntryPoint): Promise<ExecutionResult> => this.run(point);
    const query = (point: EntryPoint): Promise<ExecutionResult> => this.query(point);
    switch (letter) {
      case 's':
      case 'I':
        return this.install(this.#wat, { hook: 'canister_post_upgrade', heapKept: true });
      case 'G':
        return entry({ kind: 'pre_upgrade' });
      case 'U':
        return this.update('run');
      case 'RQ':
        return entry({ kind: 'replicated_query', method: 'look', arg: NOTHING });
      case 'NRQ':
        return query({ kind: 'query', method: 'look', arg: NOTHING });
      case 'TQ':
        return query({ kind: 'transform_query', method: 'look', arg: NOTHING });
      case 'CQ':
        return query({ kind: 'composite_query', method: 'run_composite', arg: NOTHING });
      case 'Ry':
        return entry({ kind: 'reply_callback', callback, data: NOTHING, composite: false });
      case 'Rt':
        return entry({ kind: 'reject_callback', callback, reject, composite: false });
      case 'CRy':
        return query({ kind: 'reply_callback', callback, data: NOTHING, composite: true });
      case 'CRt':
        return query({ kind: 'reject_callback', callback, reject, composite: true });
      case 'C':
        return entry({ kind: 'cleanup_callback', callback, rejectCode: 4, composite: false });
      case 'CC':
        return query({ kind: 'cleanup_callback', callback, rejectCode: 4, composite: true });
      case 'F':
        return query({ kind: 'inspect_message', method: 'run', arg: NOTHING });
      case 'T':
        return entry({ kind: 'heartbeat' });
    }
  }
}

const NAMES_OF_MODES: Readonly<Record<Letter, string>> = {
  s: 'start',
  I: 'init',
  G: 'pre upgrade',
  U: 'update',
  RQ: 'replicated query',
  NRQ: 'non replicated query',
  TQ: 'non replicated query',
  CQ: 'composite query',
  Ry: 'reply callback',
  Rt: 'reject callback',
  CRy: 'composite reply callback',
  CRt: 'composite reject callback',
  C: 'cleanup',
  CC: 'composite cleanup',
  F: 'inspect message',
  T: 'heartbeat',
};

test('the implementation has exactly the functions of the specification', () => {
  const have = SYSTEM_FUNCTIONS.map((f) => `${f.name} ${f.only32}`).sort();
  assert.deepEqual(have, TABLE.map((f) => `${f.name} ${f.only32}`).sort());
});

for (const width of [32, 64] as const) {
  test(`each function is callable in exactly its contexts (${width}-bit pointers)`, async () => {
    const { wat, functions } = dispatcher(width);
    const canister = new Dispatcher(testSandbox());
    await canister.prepare(wat);
    const wrong: string[] = [];
    for (const [index, { name, contexts }] of functions.entries()) {
      for (const letter of ALL) {
        const { error } = await canister.call(index, letter);
        const refusal = `Canister violated contract: "ic0_${name}" cannot be executed in ${NAMES_OF_MODES[letter]} mode.`;
        const refused = error?.code === 'IC0504' && error.message.startsWith(refusal);
        // Without a certificate its functions trap with the same words in the contexts that may call them.
        const certificate = name.startsWith('data_certificate_') && contexts.has(letter);
        if (refused === contexts.has(letter) && !certificate) {
          wrong.push(`${name} in ${letter}: ${error?.message ?? 'allowed'}`);
        }
      }
    }
    assert.deepEqual(wrong, []);
  });
}
