/** Bodies that are not requests, requests with wrong fields, and requests at the wrong time. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import {
  type CborInput,
  CborTagged,
  concatBytes,
  encodeCbor,
  encodeSelfDescribedCbor,
  toHex,
  utf8,
} from '../codec/index.ts';
import { ANONYMOUS, type Principal } from '../model/index.ts';
import type { Gateway } from './gateway.ts';
import {
  type Answer,
  type Content,
  callContent,
  envelope,
  expiry,
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
const EMPTY = new Uint8Array(0);

beforeEach(async () => {
  subnet = await TestSubnet.create();
  gateway = await testGateway(subnet);
  canister = subnet.addCanister(1n);
});

const url = (version: string, verb: string): string => `/api/${version}/canister/${canister}/${verb}`;

async function update(content: Content, sender?: Identity): Promise<Answer> {
  return send(gateway, url('v4', 'call'), envelope(content, sender));
}

describe('bodies', () => {
  const kinds = ['call', 'query', 'read_state'] as const;
  const contentOf = (kind: (typeof kinds)[number]): Content =>
    kind === 'call'
      ? callContent(canister, 'hi')
      : kind === 'query'
        ? queryContent(canister, 'hi')
        : readContent([['time']]);
  const tagged = (value: CborInput): Uint8Array => encodeSelfDescribedCbor(value);
  const field =
    (name: string, value: CborInput | undefined) =>
    (kind: (typeof kinds)[number]): Uint8Array =>
      envelope({ ...contentOf(kind), [name]: value });
  /** A map whose entries are given as encoded bytes. */
  const rawMap = (entries: Uint8Array[]): Uint8Array =>
    concatBytes(Uint8Array.of(0xa0 | (entries.length / 2)), ...entries);
  const rawContent = (kind: (typeof kinds)[number], more: Uint8Array[]): Uint8Array => {
    const entries = Object.entries(contentOf(kind)).filter(([name, value]) => value !== undefined && name !== 'nonce');
    const encoded = entries.flatMap(([name, value]) => [encodeCbor(name), encodeCbor(value as CborInput)]);
    return concatBytes(utf8(''), Uint8Array.of(0xa1), encodeCbor('content'), rawMap([...encoded, ...more]));
  };

  const rows: [name: string, body: (kind: (typeof kinds)[number]) => Uint8Array, text: RegExp][] = [
    ['nothing', () => EMPTY, /ends at offset 0/],
    ['text', () => utf8('hello there'), /./],
    ['JSON', () => utf8('{"content":{}}'), /./],
    ['breaks', () => Uint8Array.of(0xff, 0xff, 0xff), /./],
    ['endless nesting', () => new Uint8Array(64).fill(0x9f), /./],
    ['deep nesting', () => new Uint8Array(100_000).fill(0x81), /nested deeper/],
    [
      'an item in every byte',
      () => concatBytes(Uint8Array.of(0xa1, 0x61, 0x78, 0x9a, 0, 0x0f, 0xff, 0xf0), new Uint8Array(1_048_560)),
      /more than 50000 items/,
    ],
    ['half a request', (kind) => envelope(contentOf(kind)).slice(0, -3), /./],
    ['a number', () => tagged(42n), /a request is a map/],
    ['an array', () => tagged(['content']), /a request is a map/],
    ['another tag', () => encodeCbor(new CborTagged(55_800n, new Map())), /a request is a map/],
    ['no content', () => tagged({}), /missing field `content`/],
    ['content that is no map', () => tagged({ content: 'x' }), /field `content` must be a map/],
    ['a huge length', () => Uint8Array.of(0xbb, 255, 255, 255, 255, 255, 255, 255, 255), /exceeds the data/],
    ['trailing bytes', (kind) => concatBytes(envelope(contentOf(kind)), Uint8Array.of(0, 1, 2)), /trailing/],
    [
      'a key twice',
      (kind) => rawContent(kind, [encodeCbor('sender'), encodeCbor(ANONYMOUS)]),
      /duplicate map key "sender"/,
    ],
    [
      'a float',
      (kind) => rawContent(kind, [encodeCbor('x'), Uint8Array.of(0xfb, 0, 0, 0, 0, 0, 0, 0, 0)]),
      /floating-point/,
    ],
    ['undefined', (kind) => rawContent(kind, [encodeCbor('x'), Uint8Array.of(0xf7)]), /simple value/],
    ['text that is not UTF-8', (kind) => rawContent(kind, [encodeCbor('x'), Uint8Array.of(0x61, 0xff)]), /not UTF-8/],
    ['a numeric key', (kind) => rawContent(kind, [encodeCbor(5), encodeCbor(5)]), /field name must be text/],
    ['a boolean in the content', field('x', true), /can be hashed/],
    ['no sender', field('sender', undefined), /missing field `sender`/],
    ['no ingress_expiry', field('ingress_expiry', undefined), /missing field `ingress_expiry`/],
    ['no request_type', field('request_type', undefined), /missing field `request_type`/],
    ['a text as sender', field('sender', 'text'), /field `sender` must be a blob/],
    ['a null sender', field('sender', null), /missing field `sender`/],
    ['a sender of 30 bytes', field('sender', new Uint8Array(30)), /a principal has at most 29/],
    ['a text as ingress_expiry', field('ingress_expiry', 'soon'), /must be a nat/],
    ['a negative ingress_expiry', field('ingress_expiry', -1n), /nat of at most 64 bits/],
    ['an ingress_expiry beyond 64 bits', field('ingress_expiry', 1n << 64n), /nat of at most 64 bits/],
    ['a number as request_type', field('request_type', 7), /must be a text/],
    ['a bogus request_type', field('request_type', 'bogus'), /request_type is "bogus"/],
    ['a text as nonce', field('nonce', 'text'), /field `nonce` must be a blob/],
    ['a nonce of 33 bytes', field('nonce', new Uint8Array(33)), /nonce has 33 bytes/],
    [
      'a sender_delegation that is no array',
      (kind) => envelope(contentOf(kind), undefined, { sender_delegation: 'x' }),
      /must be a array/,
    ],
    [
      'an endless key',
      (kind) => envelope(contentOf(kind), undefined, { sender_pubkey: new Uint8Array(8_193) }),
      /`sender_pubkey` has 8193 bytes/,
    ],
    [
      'an endless signature',
      (kind) => envelope(contentOf(kind), undefined, { sender_sig: new Uint8Array(65_537) }),
      /`sender_sig` has 65537 bytes/,
    ],
    [
      'a delegation that is no map',
      (kind) => envelope(contentOf(kind), undefined, { sender_delegation: ['x'] }),
      /no map/,
    ],
  ];
  for (const [name, body, text] of rows)
    for (const kind of kinds)
      test(`${name} as ${kind} is 400`, async () => {
        const answer = await send(gateway, url('v3', kind), body(kind));
        assert.equal(answer.status, 400, answer.text);
        assert.match(answer.text, text);
      });

  const perKind: [name: string, kind: (typeof kinds)[number], change: Content, text: RegExp][] = [
    ['no canister_id', 'call', { canister_id: undefined }, /missing field `canister_id`/],
    ['a text as canister_id', 'query', { canister_id: 'x' }, /must be a blob/],
    ['no method_name', 'query', { method_name: undefined }, /missing field `method_name`/],
    ['a blob as method_name', 'call', { method_name: utf8('hi') }, /must be a text/],
    ['no arg', 'call', { arg: undefined }, /missing field `arg`/],
    ['a text as arg', 'query', { arg: 'x' }, /must be a blob/],
    ['no paths', 'read_state', { paths: undefined }, /missing field `paths`/],
    ['a text as paths', 'read_state', { paths: 'time' }, /must be a array/],
    ['a number in a path', 'read_state', { paths: [[utf8('time'), 5]] }, /array of blobs/],
    ['a text as path', 'read_state', { paths: ['time'] }, /array of blobs/],
    ['a text as sender_info', 'call', { sender_info: 'x' }, /must be a map/],
    ['a sender_info without sig', 'call', { sender_info: { info: EMPTY, signer: EMPTY } }, /missing field `sig`/],
  ];
  for (const [name, kind, change, text] of perKind)
    test(`${name} in ${kind} is 400`, async () => {
      const answer = await send(gateway, url('v3', kind), envelope({ ...contentOf(kind), ...change }));
      assert.equal(answer.status, 400, answer.text);
      assert.match(answer.text, text);
    });

  for (const kind of kinds)
    for (const sent of kinds)
      if (kind !== sent)
        test(`a ${sent} at the ${kind} endpoint is 400`, async () => {
          assert.equal((await send(gateway, url('v3', kind), envelope(contentOf(sent)))).status, 400);
        });

  test('what the specification allows is accepted', async () => {
    const bare = envelope(contentOf('call')).slice(3);
    assert.equal((await send(gateway, url('v4', 'call'), bare)).status, 200, 'without the tag');
    const nulls = encodeSelfDescribedCbor({
      content: { ...callContent(canister, 'hi'), sender_info: null } as CborInput,
      sender_pubkey: null,
      sender_sig: null,
    });
    assert.equal((await send(gateway, url('v4', 'call'), nulls)).status, 200, 'nulls');
    const noNonce = callContent(canister, 'hi', undefined, { nonce: undefined });
    assert.equal((await update(noNonce)).status, 200);
    assert.equal(subnet.executed.at(-1)?.nonce, undefined);
    const later = callContent(canister, 'hi', undefined, { something_later: 'text' });
    assert.equal((await update(later)).status, 200);
    assert.equal(
      toHex(subnet.executed.at(-1)?.requestId ?? EMPTY),
      toHex(idOf(later)),
      'further fields count in the id',
    );
  });
});

describe('expiry', () => {
  const rows: [name: string, fromNowMs: number, ok: boolean][] = [
    ['a minute ago', -60_000, false],
    ['in four minutes', 240_000, true],
    ['in five minutes and a half', 330_000, true],
    ['in seven minutes', 420_000, false],
    ['in the year 2500', 1.5e13, false],
  ];
  for (const [name, fromNowMs, ok] of rows)
    test(`${name}: ${ok ? 'accepted' : 'refused'}`, async () => {
      const late = { ingress_expiry: expiry(fromNowMs) };
      const signed = [
        await update(callContent(canister, 'hi', me, late), me),
        await send(gateway, url('v3', 'query'), envelope(queryContent(canister, 'hi', me, late), me)),
        await send(gateway, url('v3', 'read_state'), envelope(readContent([['time']], me, late), me)),
        await update(callContent(canister, 'hi', undefined, late)),
      ];
      for (const answer of signed) {
        assert.equal(answer.status, ok ? 200 : 400, answer.text);
        if (!ok)
          assert.match(
            answer.text,
            /^Invalid request expiry: Specified ingress_expiry not within expected range: Minimum allowed expiry: /,
          );
      }
      const anonymous = [
        await send(gateway, url('v3', 'query'), envelope(queryContent(canister, 'hi', undefined, late))),
        await send(gateway, url('v3', 'read_state'), envelope(readContent([['time']], undefined, late))),
      ];
      for (const answer of anonymous) assert.equal(answer.status, 200, 'anonymous reads may have any expiry');
    });
});
