import { MANAGEMENT_CANISTER, type Principal } from '../model/index.ts';
import { principalField } from './candid-field.ts';

/**
 * What the effective canister id of a call must be (interface spec, "Effective canister id").
 *
 * `any`: the id does not matter (creation), or no id can be right and the system rejects the call itself.
 */
export type RequiredTarget = { readonly kind: 'any' } | { readonly kind: 'exactly'; readonly id: Principal };

const ANY: RequiredTarget = { kind: 'any' };

/** Calls that create canisters: any principal will do, and a subnet id too. */
const CREATION: ReadonlySet<string> = new Set(['create_canister', 'provisional_create_canister_with_cycles']);

export function requiredTarget(canisterId: Principal, method: string, arg: Uint8Array): RequiredTarget {
  if (canisterId.key !== MANAGEMENT_CANISTER.key) return { kind: 'exactly', id: canisterId };
  if (CREATION.has(method) || method === 'list_canisters') return ANY;
  const field = method === 'install_chunked_code' ? 'target_canister' : 'canister_id';
  const id = principalField(arg, field);
  return id === undefined ? ANY : { kind: 'exactly', id };
}

/** Whether an update call may be sent to `/subnet/<id>/call` (spec, "Effective subnet id"). */
export function isSubnetCall(canisterId: Principal, method: string): boolean {
  return canisterId.isManagementCanister && CREATION.has(method);
}

/** Whether a query may be sent to `/subnet/<id>/query`. */
export function isSubnetQuery(canisterId: Principal, method: string): boolean {
  return canisterId.isManagementCanister && method === 'list_canisters';
}
