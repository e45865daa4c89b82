/** What every end-to-end test does with canisters: create them, install modules, call methods; over the official agent. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { HttpAgent } from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';
import { Principal } from '@icp-sdk/core/principal';
import { ROOT } from '../source-tree/index.ts';

export const MANAGEMENT: Principal = Principal.fromText('aaaaa-aa');
/** Any canister id of the network: where calls go that create canisters. */
export const ANYWHERE: Principal = Principal.fromText('rwlgt-iiaaa-aaaaa-aaaaa-cai');
export const TALLY: Uint8Array<ArrayBuffer> = Uint8Array.from(
  readFileSync(path.join(ROOT, 'examples', 'tally', 'tally.wasm')),
);
export const EMPTY_ARGUMENT: Uint8Array = IDL.encode([], []);

const Persistence = IDL.Variant({ keep: IDL.Null, replace: IDL.Null });
const Upgrade = IDL.Record({
  skip_pre_upgrade: IDL.Opt(IDL.Bool),
  wasm_memory_persistence: IDL.Opt(Persistence),
});
const Install = IDL.Record({
  mode: IDL.Variant({ install: IDL.Null, reinstall: IDL.Null, upgrade: IDL.Opt(Upgrade) }),
  canister_id: IDL.Principal,
  wasm_module: IDL.Vec(IDL.Nat8),
  arg: IDL.Vec(IDL.Nat8),
});

export type InstallMode = 'install' | 'reinstall' | 'upgrade' | 'upgrade-keep';

/** Calls an update method and waits for its certified reply. Rejects as the agent does. */
export async function update(
  agent: HttpAgent,
  canister: Principal,
  method: string,
  arg: Uint8Array = EMPTY_ARGUMENT,
  effective: Principal = canister,
): Promise<Uint8Array<ArrayBuffer>> {
  const { reply } = await agent.update(canister, {
    methodName: method,
    arg,
    effectiveTarget: { canisterId: effective },
  });
  return Uint8Array.from(reply);
}

/** Queries; the agent verifies the node's signature. Rejects with the canister's message. */
export async function query(
  agent: HttpAgent,
  canister: Principal,
  method: string,
  arg: Uint8Array = EMPTY_ARGUMENT,
): Promise<Uint8Array<ArrayBuffer>> {
  const response = await agent.query(canister, { methodName: method, arg });
  if ('reply' in response) return Uint8Array.from(response.reply.arg);
  throw new Error(`rejected ${response.reject_code} ${response.error_code}: ${response.reject_message}`);
}

export async function createCanister(agent: HttpAgent, cycles = 1_000_000_000_000_000n): Promise<Principal> {
  const arg = IDL.encode([IDL.Record({ amount: IDL.Opt(IDL.Nat) })], [{ amount: [cycles] }]);
  const reply = await update(agent, MANAGEMENT, 'provisional_create_canister_with_cycles', arg, ANYWHERE);
  const [result] = IDL.decode([IDL.Record({ canister_id: IDL.Principal })], reply) as unknown as [
    { readonly canister_id: Principal },
  ];
  return result.canister_id;
}

export async function installCode(
  agent: HttpAgent,
  canister: Principal,
  wasm: Uint8Array,
  options: { readonly mode?: InstallMode; readonly arg?: Uint8Array } = {},
): Promise<void> {
  const mode = options.mode ?? 'install';
  const upgrade = mode === 'upgrade-keep' ? [{ skip_pre_upgrade: [], wasm_memory_persistence: [{ keep: null }] }] : [];
  const arg = IDL.encode(
    [Install],
    [
      {
        mode: mode.startsWith('upgrade') ? { upgrade } : { [mode]: null },
        canister_id: canister,
        wasm_module: wasm,
        arg: options.arg ?? EMPTY_ARGUMENT,
      },
    ],
  );
  await update(agent, MANAGEMENT, 'install_code', arg, canister);
}

export async function manage(agent: HttpAgent, method: string, canister: Principal): Promise<Uint8Array<ArrayBuffer>> {
  const arg = IDL.encode([IDL.Record({ canister_id: IDL.Principal })], [{ canister_id: canister }]);
  return update(agent, MANAGEMENT, method, arg, canister);
}

export async function deployed(agent: HttpAgent, wasm: Uint8Array, arg?: Uint8Array): Promise<Principal> {
  const canister = await createCanister(agent);
  await installCode(agent, canister, wasm, arg === undefined ? {} : { arg });
  return canister;
}

/** One Candid value. */
export function decoded<T>(type: IDL.Type<T>, bytes: Uint8Array): T {
  return IDL.decode([type], Uint8Array.from(bytes))[0] as unknown as T;
}

/** One `nat64` or `nat`. */
export function decodedNumber(bytes: Uint8Array, type: IDL.Type = IDL.Nat64): bigint {
  return BigInt(decoded(type, bytes) as bigint);
}

/** A hand-written canister of this folder, e.g. `journal`. */
export async function assembled(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const { default: load } = await import('wabt');
  const wabt = await load();
  const file = `${name}.wat`;
  const module = wabt.parseWat(file, readFileSync(new URL(`./${file}`, import.meta.url), 'utf8'), {
    bulk_memory: true,
    mutable_globals: true,
  });
  try {
    return Uint8Array.from(module.toBinary({}).buffer);
  } finally {
    module.destroy();
  }
}
