/**
 * The System API as types: which `ic0` functions a canister may import and with which signature (interface spec,
 * "Overview of imports"). `I` stands for the module's pointer type: i64 when its memory is 64-bit, else i32.
 */

export type ValueTypeName = 'i32' | 'i64';

export interface SystemFunctionType {
  readonly params: readonly ValueTypeName[];
  readonly results: readonly ValueTypeName[];
}

/** `I` is the pointer type; the arrow separates parameters from results. */
const EITHER_WIDTH = `
  msg_arg_data_size : -> I
  msg_arg_data_copy : I I I ->
  msg_caller_size : -> I
  msg_caller_copy : I I I ->
  msg_caller_info_data_size : -> I
  msg_caller_info_data_copy : I I I ->
  msg_caller_info_signer_size : -> I
  msg_caller_info_signer_copy : I I I ->
  msg_reject_code : -> i32
  msg_reject_msg_size : -> I
  msg_reject_msg_copy : I I I ->
  msg_deadline : -> i64
  msg_reply_data_append : I I ->
  msg_reply : ->
  msg_reject : I I ->
  msg_cycles_available128 : I ->
  msg_cycles_refunded128 : I ->
  msg_cycles_accept128 : i64 i64 I ->
  cycles_burn128 : i64 i64 I ->
  canister_self_size : -> I
  canister_self_copy : I I I ->
  canister_cycle_balance128 : I ->
  canister_liquid_cycle_balance128 : I ->
  canister_status : -> i32
  canister_version : -> i64
  subnet_self_size : -> I
  subnet_self_copy : I I I ->
  msg_method_name_size : -> I
  msg_method_name_copy : I I I ->
  accept_message : ->
  call_new : I I I I I I I I ->
  call_on_cleanup : I I ->
  call_data_append : I I ->
  call_with_best_effort_response : i32 ->
  call_cycles_add128 : i64 i64 ->
  call_perform : -> i32
  stable64_size : -> i64
  stable64_grow : i64 -> i64
  stable64_write : i64 i64 i64 ->
  stable64_read : i64 i64 i64 ->
  root_key_size : -> I
  root_key_copy : I I I ->
  certified_data_set : I I ->
  data_certificate_present : -> i32
  data_certificate_size : -> I
  data_certificate_copy : I I I ->
  time : -> i64
  global_timer_set : i64 -> i64
  performance_counter : i32 -> i64
  is_controller : I I -> i32
  in_replicated_execution : -> i32
  cost_call : i64 i64 I ->
  cost_create_canister : I ->
  cost_http_request : i64 i64 I ->
  cost_sign_with_ecdsa : I I i32 I -> i32
  cost_sign_with_schnorr : I I i32 I -> i32
  cost_vetkd_derive_key : I I i32 I -> i32
  env_var_count : -> I
  env_var_name_size : I -> I
  env_var_name_copy : I I I I ->
  env_var_name_exists : I I -> i32
  env_var_value_size : I I -> I
  env_var_value_copy : I I I I I ->
  debug_print : I I ->
  trap : I I ->
`;

/** Deprecated; only for modules with 32-bit pointers. */
const WIDTH_32_ONLY = `
  msg_cycles_available : -> i64
  msg_cycles_refunded : -> i64
  msg_cycles_accept : i64 -> i64
  canister_cycle_balance : -> i64
  call_cycles_add : i64 ->
  stable_size : -> i32
  stable_grow : i32 -> i32
  stable_write : i32 i32 i32 ->
  stable_read : i32 i32 i32 ->
`;

function tableFor(pointer: ValueTypeName, lines: string): Map<string, SystemFunctionType> {
  const table = new Map<string, SystemFunctionType>();
  for (const line of lines.split('\n')) {
    const [name, type] = line.split(' : ');
    if (name === undefined || type === undefined) continue;
    const [params, results] = type
      .split('->')
      .map((half) => half.split(' ').flatMap((word) => (word === '' ? [] : [valueType(word, pointer)])));
    table.set(name.trim(), { params: params ?? [], results: results ?? [] });
  }
  return table;
}

function valueType(word: string, pointer: ValueTypeName): ValueTypeName {
  return word === 'I' ? pointer : word === 'i64' ? 'i64' : 'i32';
}

/** Importable functions of a module with 32-bit pointers (a 32-bit memory, or none). */
export const SYSTEM_API_32: ReadonlyMap<string, SystemFunctionType> = tableFor('i32', EITHER_WIDTH + WIDTH_32_ONLY);
/** Importable functions of a module with a 64-bit memory. */
export const SYSTEM_API_64: ReadonlyMap<string, SystemFunctionType> = tableFor('i64', EITHER_WIDTH);
