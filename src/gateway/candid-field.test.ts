import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDL } from '@icp-sdk/core/candid';
import { Principal as ClientPrincipal } from '@icp-sdk/core/principal';
import fc from 'fast-check';
import { Principal } from '../model/index.ts';
import { principalField } from './candid-field.ts';
import { isSubnetCall, isSubnetQuery, requiredTarget } from './management-target.ts';

const ID = Principal.fromText('rwlgt-iiaaa-aaaaa-aaaaa-cai');
const OTHER = Principal.fromText('rrkah-fqaaa-aaaaa-aaaaq-cai');
const idl = (id: Principal): ClientPrincipal => ClientPrincipal.fromUint8Array(id.bytes);
const EMPTY = new Uint8Array();
const MANAGEMENT = Principal.fromBytes(EMPTY);

test('finds the field among values of every type', () => {
  const everything = IDL.Record({
    a_null: IDL.Null,
    a_bool: IDL.Bool,
    a_nat: IDL.Nat,
    an_int: IDL.Int,
    a_nat16: IDL.Nat16,
    a_float: IDL.Float64,
    a_text: IDL.Text,
    reserved: IDL.Reserved,
    opt_some: IDL.Opt(IDL.Vec(IDL.Text)),
    opt_none: IDL.Opt(IDL.Nat),
    blob: IDL.Vec(IDL.Nat8),
    records: IDL.Vec(IDL.Record({ x: IDL.Nat, y: IDL.Opt(IDL.Principal) })),
    variant: IDL.Variant({ install: IDL.Null, upgrade: IDL.Opt(IDL.Record({ keep: IDL.Bool })) }),
    fun: IDL.Func([IDL.Text], [IDL.Nat], ['query']),
    service: IDL.Service({ hello: IDL.Func([IDL.Text], [], []) }),
    zz_owner: IDL.Principal,
    canister_id: IDL.Principal,
  });
  const arg = IDL.encode(
    [everything, IDL.Nat],
    [
      {
        a_null: null,
        a_bool: true,
        a_nat: 1n << 100n,
        an_int: -(1n << 90n),
        a_nat16: 7,
        a_float: 1.5,
        a_text: 'träger',
        reserved: null,
        opt_some: [['a', 'b']],
        opt_none: [],
        blob: new Uint8Array(1000).fill(7),
        records: [
          { x: 300n, y: [idl(OTHER)] },
          { x: 0n, y: [] },
        ],
        variant: { upgrade: [{ keep: true }] },
        fun: [idl(OTHER), 'method'],
        service: idl(OTHER),
        zz_owner: idl(OTHER),
        canister_id: idl(ID),
      },
      5n,
    ],
  );
  assert.equal(principalField(arg, 'canister_id')?.key, ID.key);
  assert.equal(principalField(arg, 'zz_owner')?.key, OTHER.key);
  assert.equal(principalField(arg, 'target_canister'), undefined);
  assert.equal(principalField(arg, 'a_text'), undefined, 'a field of another type');
});

test('arguments that are no such record have no field', () => {
  const cases: [string, Uint8Array][] = [
    ['nothing', EMPTY],
    ['not Candid', new TextEncoder().encode('hello')],
    ['no argument', IDL.encode([], [])],
    ['a text', IDL.encode([IDL.Text], ['canister_id'])],
    ['a blob', IDL.encode([IDL.Vec(IDL.Nat8)], [new Uint8Array(9)])],
    ['an optional principal', IDL.encode([IDL.Record({ canister_id: IDL.Opt(IDL.Principal) })], [{ canister_id: [] }])],
    ['truncated', IDL.encode([IDL.Record({ canister_id: IDL.Principal })], [{ canister_id: idl(ID) }]).slice(0, -1)],
    // vec null with 2^40 elements before the field: bounded work
    [
      'a bomb',
      Uint8Array.from([0x44, 0x49, 0x44, 0x4c, 2, 0x6c, 1, 1, 1, 0x6d, 0, 1, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20]),
    ],
    // type 0 = record { 1 : type 0 }: endless nesting
    ['a cycle', Uint8Array.from([0x44, 0x49, 0x44, 0x4c, 1, 0x6c, 1, 1, 0, 1, 0])],
  ];
  for (const [name, arg] of cases) assert.equal(principalField(arg, 'canister_id'), undefined, name);
});

test('never throws', () => {
  const sample = IDL.encode(
    [IDL.Record({ wasm_module: IDL.Vec(IDL.Nat8), m: IDL.Variant({ a: IDL.Text }), z_canister_id: IDL.Principal })],
    [{ wasm_module: new Uint8Array(20), m: { a: 'x' }, z_canister_id: idl(ID) }],
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(sample.length - 1), fc.nat(255)), { maxLength: 6 }), (changes) => {
      const mutated = Uint8Array.from(sample);
      for (const [at, byte] of changes) mutated[at] = byte;
      const found = principalField(mutated, 'z_canister_id');
      return found === undefined || found.bytes.length <= 29;
    }),
    { numRuns: 2000 },
  );
});

test('the effective canister id that each kind of call requires', () => {
  const record = (field: string): Uint8Array =>
    IDL.encode([IDL.Record({ [field]: IDL.Principal })], [{ [field]: idl(ID) }]);
  const rows: [canister: Principal, method: string, arg: Uint8Array, expected: Principal | undefined][] = [
    [OTHER, 'anything', EMPTY, OTHER],
    [OTHER, 'create_canister', record('canister_id'), OTHER],
    [MANAGEMENT, 'create_canister', record('canister_id'), undefined],
    [MANAGEMENT, 'provisional_create_canister_with_cycles', EMPTY, undefined],
    [MANAGEMENT, 'install_code', record('canister_id'), ID],
    [MANAGEMENT, 'install_chunked_code', record('target_canister'), ID],
    [MANAGEMENT, 'install_chunked_code', record('canister_id'), undefined],
    [MANAGEMENT, 'provisional_top_up_canister', record('canister_id'), ID],
    [MANAGEMENT, 'raw_rand', EMPTY, undefined],
    [MANAGEMENT, 'list_canisters', record('canister_id'), undefined],
  ];
  for (const [canister, method, arg, expected] of rows) {
    const target = requiredTarget(canister, method, arg);
    assert.equal(target.kind === 'exactly' ? target.id.key : undefined, expected?.key, method);
  }
  assert.ok(isSubnetCall(MANAGEMENT, 'create_canister') && !isSubnetCall(MANAGEMENT, 'install_code'));
  assert.ok(!isSubnetCall(OTHER, 'create_canister'));
  assert.ok(isSubnetQuery(MANAGEMENT, 'list_canisters') && !isSubnetQuery(MANAGEMENT, 'canister_status'));
});
