/** Random and mutated bodies: always an answer below 500, never a failure logged, nothing executed twice. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CborInput, encodeCbor, encodeSelfDescribedCbor } from '../codec/index.ts';
import {
  type Content,
  callContent,
  delegate,
  envelope,
  newIdentity,
  queryContent,
  readContent,
  send,
} from './test-client.ts';
import { testGateway } from './test-gateway.ts';
import { TestSubnet } from './test-subnet.ts';

/** Enough to keep the test honest; by hand with more: `FUZZ_RUNS=100000 node --test src/gateway/hostile-bodies.test.ts`. */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 400);

const subnet = await TestSubnet.create();
const canister = subnet.addCanister(1n);
const gateway = await testGateway(subnet, { limits: { callWaitMs: 5_000 } });
const identity = delegate(newIdentity(), newIdentity('p256'), { targets: [canister] });
const kinds = ['call', 'query', 'read_state'] as const;
type Kind = (typeof kinds)[number];

const contentOf = (kind: Kind): Content =>
  kind === 'call'
    ? callContent(canister, 'hi', identity)
    : kind === 'query'
      ? queryContent(canister, 'hi', identity)
      : readContent([['time'], ['canister', canister.bytes, 'metadata', 'x']], identity);

async function check(kind: Kind, body: Uint8Array): Promise<number> {
  const { status, text } = await send(gateway, `/api/v3/canister/${canister}/${kind}`, body);
  assert.ok(status >= 200 && status < 500, `${status} ${text}`);
  return status;
}

test('random bytes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...kinds), fc.uint8Array({ maxLength: 200 }), async (kind, bytes) => {
      assert.ok((await check(kind, bytes)) >= 400);
    }),
    { numRuns: RUNS },
  );
});

test('requests with bytes changed, removed and added', async () => {
  const sound = new Map(kinds.map((kind) => [kind, envelope(contentOf(kind), identity)]));
  for (const kind of kinds) assert.equal(await check(kind, sound.get(kind) as Uint8Array), 200);
  const edit = fc.record({
    at: fc.nat(),
    remove: fc.nat(3),
    insert: fc.oneof(
      fc.uint8Array({ maxLength: 4 }),
      fc.constantFrom(Uint8Array.of(0xff), Uint8Array.of(0x9f), Uint8Array.of(0xd9, 0xd9, 0xf7)),
    ),
  });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...kinds), fc.array(edit, { minLength: 1, maxLength: 4 }), async (kind, edits) => {
      let bytes = [...(sound.get(kind) as Uint8Array)];
      for (const { at, remove, insert } of edits) bytes = bytes.toSpliced(at % bytes.length, remove, ...insert);
      await check(kind, Uint8Array.from(bytes));
    }),
    { numRuns: RUNS },
  );
});

const anyValue: fc.Arbitrary<CborInput> = fc.letrec<{ value: CborInput }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.bigInt({ min: -(1n << 70n), max: 1n << 70n }),
    fc.string(),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string(), tie('value'), { maxKeys: 4 }),
  ),
})).value;

test('requests with fields of any value', async () => {
  const name = fc.constantFrom(
    ...[
      'request_type',
      'sender',
      'ingress_expiry',
      'nonce',
      'canister_id',
      'method_name',
      'arg',
      'paths',
      'sender_info',
    ],
  );
  const top = fc.constantFrom('sender_pubkey', 'sender_sig', 'sender_delegation', 'content', 'other');
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...kinds),
      fc.option(fc.tuple(name, anyValue)),
      fc.option(fc.tuple(top, anyValue)),
      async (kind, field, outer) => {
        const content = { ...contentOf(kind), ...(field === null ? {} : { [field[0]]: field[1] }) } as CborInput;
        const body = { content, sender_pubkey: identity.der, ...(outer === null ? {} : { [outer[0]]: outer[1] }) };
        await check(kind, encodeSelfDescribedCbor(body as CborInput));
      },
    ),
    { numRuns: RUNS },
  );
});

test('paths of any labels', async () => {
  const label = fc.oneof(
    fc.constantFrom(
      'time',
      'subnet',
      'canister',
      'metadata',
      'request_status',
      'node',
      'canister_ranges',
      'public_key',
    ),
    fc.uint8Array({ maxLength: 33 }),
    fc.constant(canister.bytes),
    fc.constant(subnet.subnetId.bytes),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(label, { maxLength: 6 }), { maxLength: 5 }),
      fc.constantFrom('v2/canister', 'v3/canister', 'v2/subnet', 'v3/subnet'),
      async (paths, where) => {
        const id = where.endsWith('subnet') ? subnet.subnetId : canister;
        const body = envelope(readContent(paths as (string | Uint8Array)[][]));
        const { status, text } = await send(gateway, `/api/${where}/${id}/read_state`, body);
        assert.ok([200, 400, 403, 404].includes(status), `${status} ${text}`);
      },
    ),
    { numRuns: RUNS },
  );
});

test('addresses of any kind', async () => {
  const part = fc.oneof(
    fc.constantFrom('api', 'v2', 'v3', 'canister', 'subnet', 'call', canister.toText()),
    fc.string(),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(part, { maxLength: 7 }),
      fc.constantFrom('GET', 'POST', 'BREW'),
      async (parts, method) => {
        const { status } = await send(gateway, `/${parts.join('/')}`, encodeCbor({}), method);
        assert.ok(status < 500);
      },
    ),
    { numRuns: RUNS },
  );
});
