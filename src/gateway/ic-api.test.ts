/** The interface of the Internet Computer over a scripted subnet: every rule that the gateway itself enforces. */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { beforeEach, describe, test } from 'node:test';
import {
  decodeCertificate,
  loadBlsVerifier,
  lookupPath,
  pathOf,
  queryResponsePayload,
  verifyCertificate,
} from '../certification/index.ts';
import { type CborValue, concatBytes, decodeUleb128, utf8 } from '../codec/index.ts';
import { canisterIdFromNumber, ErrorCode, MANAGEMENT_CANISTER, type Principal } from '../model/index.ts';
import type { Gateway } from './gateway.ts';
import {
  type Answer,
  type Content,
  callContent,
  envelope,
  type Identity,
  idOf,
  newIdentity,
  queryContent,
  readContent,
  send,
} from './test-client.ts';
import { testGateway } from './test-gateway.ts';
import { TestSubnet } from './test-subnet.ts';

let subnet: TestSubnet;
let gateway: Gateway;
let canister: Principal;
const me: Identity = newIdentity();
const other: Identity = newIdentity();
const EMPTY = new Uint8Array(0);
const verify = await loadBlsVerifier();

beforeEach(async () => {
  subnet = await TestSubnet.create();
  gateway = await testGateway(subnet);
  canister = subnet.addCanister(1n, {
    controllers: [me.principal],
    sections: [
      { name: 'candid:service', visibility: 'public', content: utf8('service : {}') },
      { name: 'notes', visibility: 'private', content: utf8('private notes') },
    ],
    certifiedData: utf8('data'),
  });
});

const url = (version: string, verb: string, id: Principal = canister): string =>
  `/api/${version}/canister/${id}/${verb}`;
const subnetUrl = (version: string, verb: string, id: Principal = subnet.subnetId): string =>
  `/api/${version}/subnet/${id}/${verb}`;

/** The tree of an answer's certificate, after checking its signature. */
function certified(answer: Answer): (...path: (string | Uint8Array)[]) => string | undefined {
  const bytes = answer.map.get('certificate');
  assert.ok(bytes instanceof Uint8Array, `no certificate: ${answer.status} ${answer.text}`);
  const { tree, time } = verifyCertificate(bytes, subnet.rootKey, { verify });
  assert.ok(time !== undefined && Math.abs(Number((subnet.now() - time) / 1_000_000n)) < 120_000, 'time');
  return (...path) => {
    const found = lookupPath(pathOf(...path), tree);
    return found.kind === 'found' ? new TextDecoder().decode(found.value) : undefined;
  };
}

async function update(content: Content, sender?: Identity, version = 'v4', id: Principal = canister): Promise<Answer> {
  return send(gateway, url(version, 'call', id), envelope(content, sender));
}

async function read(
  paths: (string | Uint8Array)[][],
  sender?: Identity,
  where: string = url('v3', 'read_state'),
): Promise<Answer> {
  return send(gateway, where, envelope(readContent(paths, sender), sender));
}

describe('status', () => {
  test('is a self-described map with the root key', async () => {
    const answer = await send(gateway, '/api/v2/status', EMPTY, 'GET');
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.body.subarray(0, 3), Uint8Array.of(0xd9, 0xd9, 0xf7));
    assert.deepEqual(answer.map.get('root_key'), subnet.rootKey);
    assert.equal(answer.map.get('replica_health_status'), 'healthy');
    assert.equal(answer.map.get('certified_height'), BigInt(subnet.state.height));
    assert.equal(answer.headers.get('content-type'), 'application/cbor');
  });

  test('says when there is no certified state', async () => {
    subnet.forgetCertificate();
    const answer = await send(gateway, '/api/v2/status', EMPTY, 'GET');
    assert.equal(answer.map.get('replica_health_status'), 'waiting_for_certified_state');
    assert.equal((await read([['time']])).status, 503);
    assert.equal((await send(gateway, url('v3', 'query'), envelope(queryContent(canister, 'q')))).status, 503);
    assert.equal((await send(gateway, '/health', EMPTY, 'GET')).status, 503);
  });
});

describe('addresses and methods', () => {
  const rows: [method: string, path: () => string, status: number][] = [
    ['GET', () => '/api/v2/status?x=1', 200],
    ['HEAD', () => '/api/v2/status', 200],
    ['GET', () => 'http://proxy.example/api/v2/status?x', 200],
    ['GET', () => 'http://proxy.example', 404],
    ['POST', () => '/api/v2/status', 405],
    ['GET', () => url('v2', 'call'), 405],
    ['PUT', () => url('v3', 'query'), 405],
    ['POST', () => url('v1', 'call'), 404],
    ['POST', () => url('v5', 'call'), 404],
    ['POST', () => url('v4', 'query'), 404],
    ['POST', () => url('v4', 'read_state'), 404],
    ['POST', () => subnetUrl('v3', 'call'), 404],
    ['POST', () => subnetUrl('v2', 'query'), 404],
    ['POST', () => `${url('v4', 'call')}/more`, 404],
    ['GET', () => '/api/', 404],
    ['GET', () => '/nothing', 404],
    ['POST', () => '/api/v4/canister/not-a-principal/call', 400],
    ['POST', () => '/api/v4/canister//call', 400],
    ['POST', () => `/api/v4/canister/${canister.toText().replace(/^./, 'z')}/call`, 400],
    ['OPTIONS', () => url('v4', 'call'), 200],
    ['OPTIONS', () => '/anything', 200],
    ['GET', () => '/', 200],
    ['GET', () => '/health', 200],
    ['GET', () => '/metrics', 200],
    ['POST', () => '/', 405],
  ];
  for (const [method, path, status] of rows)
    test(`${method} ${path.toString().slice(6)} gives ${status}`, async () => {
      const answer = await send(gateway, path(), EMPTY, method);
      assert.equal(answer.status, status, answer.text);
      if (status === 405) assert.ok(answer.headers.get('allow'));
    });

  test('any page may read answers and ask first', async () => {
    for (const answer of [
      await send(gateway, url('v4', 'call'), EMPTY),
      await send(gateway, '/api/v2/status', EMPTY, 'GET'),
      await send(gateway, '/x', EMPTY),
    ])
      assert.equal(answer.headers.get('access-control-allow-origin'), '*');
    const preflight = await send(gateway, url('v4', 'call'), EMPTY, 'OPTIONS');
    assert.match(preflight.headers.get('access-control-allow-methods') ?? '', /POST/);
    assert.match(preflight.headers.get('access-control-allow-headers') ?? '', /content-type/);
  });

  test('the page for people names the network and escapes nothing away', async () => {
    const page = await send(gateway, '/', EMPTY, 'GET');
    assert.match(page.headers.get('content-type') ?? '', /^text\/html/);
    assert.ok(page.text.includes(canister.toText()) && page.text.includes('<html lang="en">'));
  });
});

describe('metrics', () => {
  test('tell what was asked, what was refused and where the time went', async () => {
    await update(callContent(canister, 'hi', me), me);
    await send(gateway, url('v3', 'query'), EMPTY);
    await read([['nonsense']]);
    const { text, headers } = await send(gateway, '/metrics', EMPTY, 'GET');
    assert.match(headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
    for (const line of [
      'perdure_http_requests_total{endpoint="v4/canister/call",status="200"} 1',
      'perdure_http_requests_total{endpoint="v3/canister/query",status="400"} 1',
      'perdure_http_refusals_total{reason="malformed"} 1',
      'perdure_http_refusals_total{reason="path"} 1',
      'perdure_stage_seconds_count{stage="verify"} 2',
      'perdure_stage_seconds_count{stage="wait"} 1',
      'perdure_canisters{status="running"} 1',
      'perdure_canister_balance_cycles_count 1',
      `perdure_height ${subnet.state.height}`,
    ])
      assert.ok(text.includes(`${line}\n`), line);
  });
});

describe('update calls', () => {
  for (const version of ['v3', 'v4'])
    test(`${version} answers with the certified reply`, async () => {
      const content = callContent(canister, 'hi', me);
      const answer = await update(content, me, version);
      assert.equal(answer.status, 200);
      assert.equal(answer.map.get('status'), 'replied');
      const value = certified(answer);
      assert.equal(value('request_status', idOf(content), 'status'), 'replied');
      assert.equal(value('request_status', idOf(content), 'reply'), 'hello');
      const [executed] = subnet.executed;
      assert.equal(executed?.sender.key, me.principal.key);
      assert.equal(executed?.methodName, 'hi');
      assert.equal(executed?.effectiveCanisterId.key, canister.key);
      assert.deepEqual(executed?.nonce, content['nonce']);
    });

  test('v2 answers 202 without a body; the outcome is read later', async () => {
    const content = callContent(canister, 'hi', me);
    const answer = await update(content, me, 'v2');
    assert.deepEqual([answer.status, answer.body.length], [202, 0]);
    await new Promise((resolve) => setImmediate(resolve));
    const value = certified(await read([['request_status', idOf(content)]], me));
    assert.equal(value('request_status', idOf(content), 'reply'), 'hello');
  });

  test('a reject of the canister is certified', async () => {
    subnet.execute = () => ({
      kind: 'reject',
      reject: { rejectCode: 4, message: 'no!', errorCode: ErrorCode.CanisterRejectedMessage },
    });
    const content = callContent(canister, 'no');
    const value = certified(await update(content));
    assert.equal(value('request_status', idOf(content), 'status'), 'rejected');
    assert.equal(value('request_status', idOf(content), 'reject_code'), '\x04');
    assert.equal(value('request_status', idOf(content), 'reject_message'), 'no!');
    assert.equal(value('request_status', idOf(content), 'error_code'), 'IC0406');
    assert.equal(value('request_status', idOf(content), 'reply'), undefined);
  });

  test('what the subnet will not take on is told at once', async () => {
    subnet.inspect = () => ({ code: ErrorCode.CanisterNotFound, message: 'Canister x not found' });
    for (const version of ['v2', 'v3', 'v4']) {
      const answer = await update(callContent(canister, 'hi'), undefined, version);
      assert.equal(answer.status, 200);
      assert.equal(answer.map.get('status'), version === 'v2' ? undefined : 'non_replicated_rejection');
      assert.equal(answer.map.get('reject_code'), 3n);
      assert.equal(answer.map.get('error_code'), 'IC0301');
      assert.equal(answer.map.get('reject_message'), 'Canister x not found');
    }
    assert.equal(subnet.executed.length, 0);
  });

  test('the identical call runs once, and all its senders get the outcome', async () => {
    const content = callContent(canister, 'hi', me);
    const answers = await Promise.all(['v4', 'v4', 'v3', 'v2', 'v4'].map((version) => update(content, me, version)));
    assert.deepEqual(
      answers.map((answer) => answer.status),
      [200, 200, 200, 202, 200],
    );
    for (const answer of answers)
      if (answer.status === 200) assert.equal(certified(answer)('request_status', idOf(content), 'reply'), 'hello');
    // Later, and when the canister would no longer take it.
    subnet.inspect = () => ({ code: ErrorCode.CanisterStopped, message: 'stopped' });
    assert.equal(certified(await update(content, me))('request_status', idOf(content), 'reply'), 'hello');
    assert.equal(subnet.executed.length, 1);
  });

  test('a call that takes too long is answered 202, and goes on', async () => {
    gateway = await testGateway(subnet, { limits: { callWaitMs: 20 } });
    subnet.automatic = false;
    const content = callContent(canister, 'slow', me);
    const answer = await update(content, me);
    assert.deepEqual([answer.status, answer.body.length], [202, 0]);
    subnet.round();
    assert.equal(certified(await update(content, me))('request_status', idOf(content), 'reply'), 'hello');
    assert.equal(subnet.executed.length, 1);
  });

  test('a full pool is 503, too many calls at once are 429', async () => {
    subnet.poolFull = true;
    const full = await update(callContent(canister, 'hi'));
    assert.deepEqual([full.status, full.text], [503, 'Service is overloaded, try again later.']);
    assert.equal(full.headers.get('retry-after'), '1');
    subnet.poolFull = false;
    gateway = await testGateway(subnet, { bounds: { calls: 1 } });
    const answers = await Promise.all([update(callContent(canister, 'a')), update(callContent(canister, 'b'))]);
    assert.deepEqual(
      answers.map((answer) => answer.status),
      [200, 429],
    );
    assert.equal((await update(callContent(canister, 'c'))).status, 200);
  });

  test('a message beyond the ingress limit is 413', async () => {
    gateway = await testGateway(subnet, { limits: { ingressBytes: 2_000 } });
    assert.equal((await update(callContent(canister, 'hi', undefined, { arg: new Uint8Array(1_500) }))).status, 200);
    const answer = await update(callContent(canister, 'hi', undefined, { arg: new Uint8Array(2_500) }));
    assert.equal(answer.status, 413);
    assert.match(
      answer.text,
      /^Request 0x[0-9a-f]{64} is too large\. Message byte size \d+ is larger than the max allowed 2000\.$/,
    );
  });
});

describe('effective ids', () => {
  const d = canisterIdFromNumber(77n);
  /** Candid: record { canister_id : principal } or another single field whose id is given. */
  const record = (fieldId: number[], id: Principal): Uint8Array =>
    concatBytes(utf8('DIDL'), Uint8Array.of(1, 0x6c, 1, ...fieldId, 0x68, 1, 0, 1, id.bytes.length), id.bytes);
  const CANISTER_ID = [0xb3, 0xc4, 0xb1, 0xf2, 0x04];

  test('a call or query goes to the canister of the URL', async () => {
    for (const [verb, content] of [
      ['call', callContent(canister, 'hi')],
      ['query', queryContent(canister, 'hi')],
    ] as const) {
      const answer = await send(gateway, url('v3', verb, d), envelope(content));
      assert.deepEqual(
        [answer.status, answer.text],
        [400, `Specified CanisterId ${canister} does not match effective canister id in URL ${d}`],
      );
    }
  });

  test('a management call goes to the canister that its argument names', async () => {
    const arg = record(CANISTER_ID, canister);
    const content = (): Content => callContent(MANAGEMENT_CANISTER, 'stop_canister', me, { arg });
    assert.equal((await update(content(), me)).status, 200);
    assert.equal((await update(content(), me, 'v4', d)).status, 400);
    const created = callContent(MANAGEMENT_CANISTER, 'provisional_create_canister_with_cycles', me);
    assert.equal((await update(created, me, 'v4', MANAGEMENT_CANISTER)).status, 200);
    const query = queryContent(MANAGEMENT_CANISTER, 'fetch_canister_logs', me, { arg });
    assert.equal((await send(gateway, url('v3', 'query'), envelope(query, me))).status, 200);
    assert.equal((await send(gateway, url('v3', 'query', d), envelope(query, me))).status, 400);
  });

  test('a subnet takes creations and list_canisters only, under its own id', async () => {
    const create = callContent(MANAGEMENT_CANISTER, 'create_canister', me);
    const answer = await send(gateway, subnetUrl('v4', 'call'), envelope(create, me));
    assert.equal(certified(answer)('request_status', idOf(create), 'status'), 'replied');
    assert.equal((await send(gateway, subnetUrl('v4', 'call', canister), envelope(create, me))).status, 400);
    const install = callContent(MANAGEMENT_CANISTER, 'install_code', me);
    assert.equal((await send(gateway, subnetUrl('v4', 'call'), envelope(install, me))).status, 400);
    const list = queryContent(MANAGEMENT_CANISTER, 'list_canisters', me);
    assert.equal((await send(gateway, subnetUrl('v3', 'query'), envelope(list, me))).status, 200);
    const status = queryContent(MANAGEMENT_CANISTER, 'canister_status', me);
    assert.equal((await send(gateway, subnetUrl('v3', 'query'), envelope(status, me))).status, 400);
    const poll = await read([['request_status', idOf(create)]], me, subnetUrl('v3', 'read_state'));
    assert.equal(certified(poll)('request_status', idOf(create), 'status'), 'replied');
  });
});

describe('queries', () => {
  const checkSignature = async (answer: Answer, content: Content): Promise<void> => {
    const [signature] = answer.map.get('signatures') as readonly CborValue[];
    assert.ok(signature instanceof Map);
    assert.deepEqual(signature.get('identity'), subnet.nodeId.bytes);
    const key = lookupPath(
      pathOf('subnet', subnet.subnetId.bytes, 'node', subnet.nodeId.bytes, 'public_key'),
      decodeCertificate((await read([['subnet']])).map.get('certificate') as Uint8Array).tree,
    );
    assert.ok(key.kind === 'found');
    const reply = answer.map.get('reply');
    const payload = queryResponsePayload(
      reply instanceof Map
        ? { kind: 'reply', data: reply.get('arg') as Uint8Array }
        : {
            kind: 'reject',
            reject: {
              rejectCode: Number(answer.map.get('reject_code')) as 3,
              message: answer.map.get('reject_message') as string,
              ...(answer.map.has('error_code') ? { errorCode: answer.map.get('error_code') as 'IC0301' } : {}),
            },
          },
      signature.get('timestamp') as bigint,
      idOf(content),
    );

    const publicKey = crypto.createPublicKey({ key: Buffer.from(key.value), format: 'der', type: 'spki' });
    assert.ok(crypto.verify(null, payload, publicKey, signature.get('signature') as Uint8Array));
  };

  for (const version of ['v2', 'v3'])
    test(`${version} replies and rejects are signed by the node`, async () => {
      const content = queryContent(canister, 'q', me);
      const answer = await send(gateway, url(version, 'query'), envelope(content, me));
      assert.equal(answer.map.get('status'), 'replied');
      await checkSignature(answer, content);
      subnet.query = () => ({ kind: 'reject', reject: { rejectCode: 4, message: 'half \ud800 a character' } });
      const rejected = await send(gateway, url(version, 'query'), envelope(content, me));
      assert.equal(rejected.map.get('status'), 'rejected');
      assert.equal(rejected.map.has('error_code'), false);
      await checkSignature(rejected, content);
      const missing = queryContent(canisterIdFromNumber(5n), 'q');
      const notFound = await send(gateway, url(version, 'query', canisterIdFromNumber(5n)), envelope(missing));
      assert.equal(notFound.map.get('error_code'), 'IC0301');
      await checkSignature(notFound, missing);
    });

  test('the canister sees a certificate for the data that it has', async () => {
    const seen = async (): Promise<string | undefined> => {
      await send(gateway, url('v3', 'query'), envelope(queryContent(canister, 'q')));
      const bytes = subnet.certificates.at(-1);
      assert.ok(bytes !== undefined);
      const found = lookupPath(
        pathOf('canister', canister.bytes, 'certified_data'),
        verifyCertificate(bytes, subnet.rootKey, { verify }).tree,
      );
      return found.kind === 'found' ? new TextDecoder().decode(found.value) : undefined;
    };
    assert.equal(await seen(), 'data');
    subnet.setCertifiedData(canister, utf8('newer'));
    const pending = seen();
    await new Promise((resolve) => setTimeout(resolve, 20));
    subnet.certify();
    assert.equal(await pending, 'newer');
    assert.equal(subnet.queries.length, 3, 'the second ran again with the certificate of its data');
  });
});

describe('read_state', () => {
  const MISSING = new Uint8Array(32).fill(5);
  const d = canisterIdFromNumber(77n);
  type Path = (string | Uint8Array)[];
  const rows: [
    name: string,
    paths: () => Path[],
    sender: Identity | undefined,
    where: string,
    status: number,
    text?: RegExp,
  ][] = [
    ['nothing', () => [], undefined, 'canister v3', 200],
    ['/time', () => [['time']], undefined, 'canister v2', 200],
    ['/time/x', () => [['time', 'x']], undefined, 'canister v3', 404, /^Invalid path requested\.$/],
    ['the empty path', () => [[]], undefined, 'canister v3', 404],
    ['a label of no meaning', () => [['nonsense']], undefined, 'canister v3', 404],
    ['a label that is not UTF-8', () => [[Uint8Array.of(255)]], undefined, 'canister v3', 404],
    ['/streams', () => [['streams']], undefined, 'subnet v3', 404],
    ['/api_boundary_nodes', () => [['api_boundary_nodes']], undefined, 'canister v3', 200],
    [
      'a boundary node’s domain',
      () => [['api_boundary_nodes', Uint8Array.of(1), 'domain']],
      undefined,
      'canister v2',
      200,
    ],
    [
      'a boundary node’s unknown field',
      () => [['api_boundary_nodes', Uint8Array.of(1), 'x']],
      undefined,
      'canister v2',
      404,
    ],
    ['/subnet', () => [['subnet']], undefined, 'canister v3', 200],
    ['/subnet/id', () => [['subnet', subnet.subnetId.bytes]], undefined, 'canister v3', 200],
    ['a public key', () => [['subnet', subnet.subnetId.bytes, 'public_key']], undefined, 'canister v3', 200],
    ['a subnet’s type', () => [['subnet', subnet.subnetId.bytes, 'type']], undefined, 'canister v3', 200],
    ['a subnet’s unknown field', () => [['subnet', subnet.subnetId.bytes, 'x']], undefined, 'canister v3', 404],
    [
      'too deep below a key',
      () => [['subnet', subnet.subnetId.bytes, 'public_key', 'x']],
      undefined,
      'canister v3',
      404,
    ],
    [
      'a node’s key',
      () => [['subnet', subnet.subnetId.bytes, 'node', subnet.nodeId.bytes, 'public_key']],
      undefined,
      'canister v3',
      200,
    ],
    [
      'a node’s unknown field',
      () => [['subnet', subnet.subnetId.bytes, 'node', subnet.nodeId.bytes, 'x']],
      undefined,
      'canister v3',
      404,
    ],
    [
      'ranges of the root, v3',
      () => [['subnet', subnet.subnetId.bytes, 'canister_ranges']],
      undefined,
      'canister v3',
      200,
    ],
    ['ranges of another, v2', () => [['subnet', Uint8Array.of(1), 'canister_ranges']], undefined, 'canister v2', 200],
    ['ranges of another, v3', () => [['subnet', Uint8Array.of(1), 'canister_ranges']], undefined, 'canister v3', 404],
    ['metrics at a canister', () => [['subnet', subnet.subnetId.bytes, 'metrics']], undefined, 'canister v3', 404],
    ['metrics at the subnet', () => [['subnet', subnet.subnetId.bytes, 'metrics']], undefined, 'subnet v2', 200],
    ['metrics of another subnet', () => [['subnet', Uint8Array.of(1), 'metrics']], undefined, 'subnet v3', 400],
    [
      '/canister_ranges at a canister',
      () => [['canister_ranges', subnet.subnetId.bytes]],
      undefined,
      'canister v3',
      404,
    ],
    ['/canister_ranges at the subnet', () => [['canister_ranges', subnet.subnetId.bytes]], undefined, 'subnet v3', 200],
    [
      '/canister_ranges of two',
      () => [
        ['canister_ranges', Uint8Array.of(1)],
        ['canister_ranges', Uint8Array.of(2)],
      ],
      undefined,
      'subnet v3',
      400,
    ],
    ['/canister_ranges alone', () => [['canister_ranges']], undefined, 'subnet v3', 404],
    ['an unknown request', () => [['request_status', MISSING]], undefined, 'canister v3', 200],
    ['a request’s unknown field', () => [['request_status', MISSING, 'x']], undefined, 'canister v3', 404],
    ['/request_status alone', () => [['request_status']], undefined, 'canister v3', 404],
    [
      'a short request id',
      () => [['request_status', new Uint8Array(31)]],
      undefined,
      'canister v3',
      400,
      /^Invalid request id in paths\./,
    ],
    [
      'two request ids',
      () => [
        ['request_status', MISSING],
        ['request_status', new Uint8Array(32)],
      ],
      undefined,
      'canister v3',
      400,
      /^More than one non-unique request ID/,
    ],
    [
      'one request id twice',
      () => [
        ['request_status', MISSING],
        ['request_status', MISSING, 'status'],
      ],
      undefined,
      'canister v3',
      200,
    ],
    ['a request at subnet v2', () => [['request_status', MISSING]], undefined, 'subnet v2', 404],
    ['a request at subnet v3', () => [['request_status', MISSING]], undefined, 'subnet v3', 200],
    ['module_hash', () => [['canister', canister.bytes, 'module_hash']], undefined, 'canister v3', 200],
    ['controllers', () => [['canister', canister.bytes, 'controllers']], other, 'canister v2', 200],
    [
      'creation time',
      () => [['canister', canister.bytes, 'canister_creation_timestamp']],
      undefined,
      'canister v3',
      200,
    ],
    ['install time', () => [['canister', canister.bytes, 'last_install_timestamp']], undefined, 'canister v3', 200],
    ['certified_data', () => [['canister', canister.bytes, 'certified_data']], me, 'canister v3', 404],
    ['/canister/id', () => [['canister', canister.bytes]], me, 'canister v3', 404],
    ['/canister', () => [['canister']], me, 'canister v3', 404],
    [
      'another canister',
      () => [['canister', d.bytes, 'module_hash']],
      me,
      'canister v3',
      400,
      /^Effective principal id in URL \S+ does not match requested principal id: \S+\.$/,
    ],
    ['a canister at the subnet', () => [['canister', canister.bytes, 'module_hash']], me, 'subnet v3', 404],
    ['a canister id too long', () => [['canister', new Uint8Array(30), 'module_hash']], me, 'canister v3', 400],
    [
      'public metadata',
      () => [['canister', canister.bytes, 'metadata', 'candid:service']],
      undefined,
      'canister v3',
      200,
    ],
    ['absent metadata', () => [['canister', canister.bytes, 'metadata', 'x']], undefined, 'canister v3', 200],
    ['private metadata, controller', () => [['canister', canister.bytes, 'metadata', 'notes']], me, 'canister v3', 200],
    [
      'private metadata, another',
      () => [['canister', canister.bytes, 'metadata', 'notes']],
      other,
      'canister v3',
      403,
      /^Custom section notes can only be requested by the controllers of the canister\.$/,
    ],
    [
      'private metadata, anonymous',
      () => [['canister', canister.bytes, 'metadata', 'notes']],
      undefined,
      'canister v2',
      403,
    ],
    [
      'metadata not UTF-8',
      () => [['canister', canister.bytes, 'metadata', Uint8Array.of(255)]],
      me,
      'canister v3',
      400,
    ],
    ['metadata without name', () => [['canister', canister.bytes, 'metadata']], me, 'canister v3', 404],
    ['metadata too deep', () => [['canister', canister.bytes, 'metadata', 'x', 'y']], me, 'canister v3', 404],
    ['1000 paths', () => Array.from({ length: 1_000 }, () => ['time']), undefined, 'canister v3', 200],
    ['1001 paths', () => Array.from({ length: 1_001 }, () => ['time']), undefined, 'canister v3', 400],
    ['128 labels', () => [Array.from({ length: 128 }, () => 'time')], undefined, 'canister v3', 400],
  ];
  for (const [name, paths, sender, where, status, text] of rows)
    test(`${name} at ${where} gives ${status}`, async () => {
      const [scope, version] = where.split(' ') as [string, string];
      const address = scope === 'subnet' ? subnetUrl(version, 'read_state') : url(version, 'read_state');
      const answer = await read(paths(), sender, address);
      assert.equal(answer.status, status, answer.text);
      if (status === 200) certified(answer);
      if (text !== undefined) assert.match(answer.text, text);
    });

  test('reveals what was asked for and nothing else', async () => {
    const value = certified(await read([['canister', canister.bytes, 'metadata', 'candid:service']]));
    assert.equal(value('canister', canister.bytes, 'metadata', 'candid:service'), 'service : {}');
    assert.equal(value('canister', canister.bytes, 'metadata', 'notes'), undefined);
    assert.ok(value('time') !== undefined);
    const bytes = (await read([['time']])).map.get('certificate') as Uint8Array;
    assert.equal(lookupPath(pathOf('subnet'), decodeCertificate(bytes).tree).kind, 'unknown', 'pruned, not absent');
  });

  test('a status is for its sender, under its effective id', async () => {
    const content = callContent(canister, 'hi', me);
    await update(content, me);
    const path: Path = ['request_status', idOf(content)];
    assert.equal((await read([path], me)).status, 200);
    for (const sender of [other, undefined]) {
      const answer = await read([path], sender);
      assert.deepEqual(
        [answer.status, answer.text],
        [403, 'The user tries to access Request ID not signed by the caller.'],
      );
    }
    assert.equal((await read([path], me, url('v3', 'read_state', d))).status, 403);
  });

  test('another subnet’s id is refused', async () => {
    assert.equal((await read([['time']], undefined, subnetUrl('v3', 'read_state', me.principal))).status, 400);
  });

  test('a certificate that has aged is renewed first', async () => {
    subnet.clockOffsetMs = 90_000;
    const answer = await read([['time']], me);
    const bytes = answer.map.get('certificate') as Uint8Array;
    const time = lookupPath(pathOf('time'), verifyCertificate(bytes, subnet.rootKey, { verify }).tree);
    assert.ok(time.kind === 'found' && subnet.now() - decodeUleb128(time.value).value < 5_000_000_000n);
  });

  test('what is public only in the present state is not read from an older one', async () => {
    const record = subnet.state.canisters.get(canister.key);
    assert.ok(record?.code !== undefined);
    // A newer module without the private section is executed and not certified yet.
    record.code = { ...record.code, customSections: [] };
    subnet.state.height++;
    let answered = false;
    const pending = read([['canister', canister.bytes, 'metadata', 'notes']], other).then((answer) => {
      answered = true;
      return answer;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(answered, false);
    subnet.certify();
    assert.equal((await pending).status, 200);
  });
});
