import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sha256, utf8 } from '../../codec/index.ts';
import { canisterIdFromNumber } from '../../model/index.ts';
import { METHODS } from './admission.ts';
import { argument, ManagementClient, refusalOf, settings, upgrade, wire } from './test-client.ts';

/** A payload that each method accepts, for canister 0. */
function validPayloads(): Map<string, Uint8Array> {
  const id = { canister_id: wire(canisterIdFromNumber(0n)) };
  const snapshot = { ...id, snapshot_id: new Uint8Array(18) };
  const values: Record<string, Record<string, unknown>> = {
    provisional_create_canister_with_cycles: { amount: [5n], settings: [settings({ freezing_threshold: 1n })] },
    provisional_top_up_canister: { ...id, amount: 7n },
    update_settings: { ...id, settings: settings({ environment_variables: [{ name: 'a', value: 'b' }] }) },
    install_code: { ...id, mode: upgrade({ skip: true }), wasm_module: utf8('a'), arg: utf8('argument') },
    install_chunked_code: {
      mode: { reinstall: null },
      target_canister: id.canister_id,
      chunk_hashes_list: [{ hash: sha256(utf8('a')) }],
      wasm_module_hash: sha256(utf8('a')),
    },
    upload_chunk: { ...id, chunk: utf8('a') },
    load_canister_snapshot: snapshot,
    delete_canister_snapshot: snapshot,
    read_canister_snapshot_data: { ...snapshot, kind: { wasm_memory: { offset: 0n, size: 5n } } },
    canister_metadata: { ...id, name: 'open' },
    subnet_info: { subnet_id: id.canister_id },
  };
  return new Map([...METHODS.keys()].map((method) => [method, argument(method, values[method] ?? id)]));
}

test('whatever bytes a payload has, the call is answered and the subnet goes on', async () => {
  const client = new ManagementClient({ a: {} });
  await client.create();
  const payloads = validPayloads();
  const changed = fc.tuple(
    fc.constantFrom(...payloads.keys()),
    fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 4 }),
    fc.option(fc.nat(60)),
  );
  await fc.assert(
    fc.asyncProperty(changed, async ([method, changes, cut]) => {
      let payload = Uint8Array.from(payloads.get(method) ?? []);
      for (const [at, byte] of changes) payload = payload.with(at % payload.length, byte);
      if (cut !== null) payload = payload.subarray(0, cut);
      const message = client.message(method, payload);
      const early = await client.subnet.replica.inspectIngress(message);
      const response = await client.subnet.call(message);
      assert.ok(response !== undefined);
      if (early !== undefined) assert.equal(response.kind, 'reject');
    }),
    { numRuns: 400 },
  );
});

test('a principal longer than principals are is refused', async () => {
  const client = new ManagementClient();
  // record { canister_id : principal }, and then a principal of 40 bytes
  const type = [0x44, 0x49, 0x44, 0x4c, 1, 0x6c, 1, 179, 196, 177, 242, 4, 0x68, 1, 0];
  const payload = Uint8Array.from([...type, 1, 40, ...new Uint8Array(40)]);
  assert.match(refusalOf(await client.callRaw('canister_status', payload)), /^IC0408/);
  assert.match(
    refusalOf(await client.callRaw('canister_status', Uint8Array.from([...type, 1, 29, ...new Uint8Array(29)]))),
    /^IC0301/,
  );
});
