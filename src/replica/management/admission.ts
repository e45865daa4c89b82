import type { Ingress, Principal, UserError } from '../../model/index.ts';
import type { ManagementHost } from './contract.ts';
import { type ArgumentName, decode, PayloadRefused, principalOf } from './interface.ts';
import * as refusal from './refusal.ts';
import { isController, mayView } from './settings.ts';

/** Who may call which method of the management canister, and which canister a call is about. */

/**
 * - `controllers`    users who control the canister, and canisters
 * - `status`, `snapshots`  whom the canister's settings let see its status or snapshots
 * - `canisters`      canisters only: a user cannot attach cycles, or nobody would pay
 * - `provisional`    everybody, on development networks
 * - `query`          non-replicated calls only
 */
export type Access = 'controllers' | 'status' | 'snapshots' | 'canisters' | 'provisional' | 'query';

interface Method {
  readonly access: Access;
  /** Type of its argument, where it names a canister. */
  readonly argument?: ArgumentName;
}

/** Every method of the specification; those without a handler are rejected as not available. */
export const METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  ['create_canister', { access: 'canisters' }],
  ['provisional_create_canister_with_cycles', { access: 'provisional' }],
  ['provisional_top_up_canister', { access: 'provisional', argument: 'provisional_top_up_canister' }],
  ['update_settings', { access: 'controllers', argument: 'update_settings' }],
  ['install_code', { access: 'controllers', argument: 'install_code' }],
  ['install_chunked_code', { access: 'controllers', argument: 'install_chunked_code' }],
  ['upload_chunk', { access: 'controllers', argument: 'upload_chunk' }],
  ['clear_chunk_store', { access: 'controllers', argument: 'canister_id' }],
  ['stored_chunks', { access: 'controllers', argument: 'canister_id' }],
  ['uninstall_code', { access: 'controllers', argument: 'uninstall_code' }],
  ['start_canister', { access: 'controllers', argument: 'canister_id' }],
  ['stop_canister', { access: 'controllers', argument: 'canister_id' }],
  ['delete_canister', { access: 'controllers', argument: 'canister_id' }],
  ['canister_status', { access: 'status', argument: 'canister_id' }],
  ['canister_metrics', { access: 'controllers', argument: 'canister_id' }],
  ['take_canister_snapshot', { access: 'controllers', argument: 'take_canister_snapshot' }],
  ['load_canister_snapshot', { access: 'controllers', argument: 'load_canister_snapshot' }],
  ['delete_canister_snapshot', { access: 'controllers', argument: 'snapshot' }],
  ['list_canister_snapshots', { access: 'snapshots', argument: 'canister_id' }],
  ['read_canister_snapshot_metadata', { access: 'snapshots', argument: 'snapshot' }],
  ['read_canister_snapshot_data', { access: 'snapshots', argument: 'read_canister_snapshot_data' }],
  ['upload_canister_snapshot_metadata', { access: 'controllers', argument: 'canister_id' }],
  ['upload_canister_snapshot_data', { access: 'controllers', argument: 'canister_id' }],
  ['deposit_cycles', { access: 'canisters', argument: 'canister_id' }],
  ['canister_info', { access: 'canisters', argument: 'canister_info' }],
  ['canister_metadata', { access: 'canisters', argument: 'canister_metadata' }],
  ['raw_rand', { access: 'canisters' }],
  ['node_metrics_history', { access: 'canisters' }],
  ['subnet_metrics', { access: 'canisters' }],
  ['subnet_info', { access: 'canisters' }],
  ['http_request', { access: 'canisters' }],
  ['flexible_http_request', { access: 'canisters' }],
  ['ecdsa_public_key', { access: 'canisters' }],
  ['sign_with_ecdsa', { access: 'canisters' }],
  ['schnorr_public_key', { access: 'canisters' }],
  ['sign_with_schnorr', { access: 'canisters' }],
  ['vetkd_public_key', { access: 'canisters' }],
  ['vetkd_derive_key', { access: 'canisters' }],
  ['bitcoin_get_balance', { access: 'canisters' }],
  ['bitcoin_get_utxos', { access: 'canisters' }],
  ['bitcoin_send_transaction', { access: 'canisters' }],
  ['bitcoin_get_current_fee_percentiles', { access: 'canisters' }],
  ['bitcoin_get_block_headers', { access: 'canisters' }],
  ['fetch_canister_logs', { access: 'query', argument: 'fetch_canister_logs' }],
  ['list_canisters', { access: 'query' }],
]);

/** A pending call is asked about again and again; its payload may be megabytes. */
const targets: WeakMap<Uint8Array, { readonly method: string; readonly target: Principal | undefined }> = new WeakMap();

/** The canister that a call is about; undefined when there is none or the payload does not decode. */
export function targetOf(method: string, arg: Uint8Array): Principal | undefined {
  const known = targets.get(arg);
  if (known?.method === method) return known.target;
  const target = readTarget(method, arg);
  targets.set(arg, { method, target });
  return target;
}

function readTarget(method: string, arg: Uint8Array): Principal | undefined {
  const argument = METHODS.get(method)?.argument;
  if (argument === undefined) return undefined;
  try {
    const args: object = decode(argument, arg);
    const named =
      'target_canister' in args ? args.target_canister : 'canister_id' in args ? args.canister_id : undefined;
    return named === undefined ? undefined : principalOf(named as { toUint8Array(): Uint8Array });
  } catch (error) {
    if (error instanceof PayloadRefused) return undefined;
    throw error;
  }
}

/** Whether a user's message to the management canister may enter (interface spec, "API Request submission"). */
export function admit(ingress: Ingress, host: ManagementHost): UserError | undefined {
  try {
    check(ingress, host);
    return undefined;
  } catch (error) {
    if (error instanceof refusal.Refusal || error instanceof PayloadRefused) return error.userError;
    throw error;
  }
}

function check(ingress: Ingress, host: ManagementHost): void {
  const { methodName, sender } = ingress;
  const method = METHODS.get(methodName);
  if (method === undefined) throw refusal.onlyCanistersCanCall(methodName);
  switch (method.access) {
    case 'canisters':
      throw refusal.onlyCanistersCanCall(methodName);
    case 'query':
      throw refusal.notAccessibleInReplicatedMode(methodName);
    case 'provisional':
      if (!host.state.network.provisional) throw refusal.notAllowedToCall(sender, methodName);
      return;
  }
  const id = targetOf(methodName, ingress.arg);
  if (id === undefined) throw refusal.payloadUndecodable(methodName);
  const canister = host.state.canisters.get(id.key);
  if (canister === undefined) throw refusal.canisterNotFoundAtTheDoor(id);
  const allowed =
    method.access === 'status'
      ? mayView(canister, canister.settings.statusVisibility, sender)
      : method.access === 'snapshots'
        ? mayView(canister, canister.settings.snapshotVisibility, sender)
        : isController(canister, sender);
  if (!allowed) throw refusal.onlyControllersCanCall(id, methodName);
}
