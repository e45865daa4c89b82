/**
 * A closed-loop load generator for one canister method: every connection sends a request, waits for its answer, sends
 * the next. Requests are encoded and signed before the clock starts, so that the client costs little beside the
 * server. Runs as a process of its own: `node bench/network/load.ts <JSON of LoadOptions>`; prints a LoadResult.
 */
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { connect } from 'node:net';
import { encodeSelfDescribedCbor, requestId } from '../../src/codec/index.ts';
import { Principal } from '../../src/model/index.ts';

export interface LoadOptions {
  readonly url: string;
  readonly canister: string;
  readonly method: string;
  readonly kind: 'call' | 'query';
  readonly signed: boolean;
  readonly connections: number;
  readonly warmup: number;
  readonly requests: number;
  /** Argument, hex. */
  readonly arg: string;
}

export interface LoadResult {
  readonly requests: number;
  readonly failed: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly firstFailure?: string;
}

const options = JSON.parse(process.argv[2] ?? '{}') as LoadOptions;
const url = new URL(options.url);
const canister = Principal.fromText(options.canister);
const keys = generateKeyPairSync('ed25519');
const publicKey = Uint8Array.from(keys.publicKey.export({ type: 'spki', format: 'der' }));
const principal = Uint8Array.from([...createHash('sha224').update(publicKey).digest(), 2]);

const total = options.warmup + options.requests;
const prepared = Array.from({ length: total }, prepare);
const latencies = new Float64Array(options.requests);
let next = 0;
let measured = 0;
let failed = 0;
let firstFailure: string | undefined;
let startedAt = 0;

await Promise.all(Array.from({ length: options.connections }, runConnection));
const seconds = (performance.now() - startedAt) / 1000;
latencies.subarray(0, measured).sort();
const result: LoadResult = {
  requests: measured,
  failed,
  seconds,
  perSecond: measured / seconds,
  p50Ms: latencies[Math.floor(measured * 0.5)] ?? 0,
  p99Ms: latencies[Math.floor(measured * 0.99)] ?? 0,
  ...(firstFailure === undefined ? {} : { firstFailure }),
};
console.log(JSON.stringify(result));

function prepare(): Buffer {
  const content = new Map<string, string | bigint | Uint8Array>([
    ['request_type', options.kind],
    ['sender', options.signed ? principal : Uint8Array.of(4)],
    ['ingress_expiry', BigInt(Date.now() + 240_000) * 1_000_000n],
    ['nonce', Uint8Array.from(randomBytes(16))],
    ['canister_id', canister.bytes],
    ['method_name', options.method],
    ['arg', Uint8Array.from(Buffer.from(options.arg, 'hex'))],
  ]);
  const envelope = new Map<string, typeof content | Uint8Array>([['content', content]]);
  if (options.signed) {
    const message = Buffer.concat([Buffer.from('\x0Aic-request'), requestId(content)]);
    envelope.set('sender_pubkey', publicKey);
    envelope.set('sender_sig', Uint8Array.from(sign(null, message, keys.privateKey)));
  }
  const body = encodeSelfDescribedCbor(envelope);
  const path = options.kind === 'call' ? `/api/v4/canister/${canister}/call` : `/api/v3/canister/${canister}/query`;
  const head = `POST ${path} HTTP/1.1\r\nhost: ${url.host}\r\ncontent-type: application/cbor\r\ncontent-length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

function runConnection(): Promise<void> {
  return new Promise((settle, fail) => {
    const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true });
    let received = Buffer.alloc(0);
    let sentAt = 0;
    let index = -1;
    const send = (): void => {
      index = next++;
      if (index >= total) {
        socket.end();
        settle();
        return;
      }
      if (index === options.warmup) startedAt = performance.now();
      sentAt = performance.now();
      socket.write(prepared[index] as Buffer);
    };
    socket.on('connect', send);
    socket.on('error', fail);
    socket.on('data', (data) => {
      received = received.length === 0 ? data : Buffer.concat([received, data]);
      const end = received.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = received.subarray(0, end).toString('latin1');
      const length = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
      if (received.length < end + 4 + length) return;
      const body = received.subarray(end + 4, end + 4 + length);
      // An answer that is no reply says so in its status line or names no certificate, and no reply.
      const good = head.startsWith('HTTP/1.1 200') && body.includes('replied');
      if (!good) {
        failed++;
        firstFailure ??= `${head.split('\r\n')[0]} ${body.toString('latin1').slice(0, 200)}`;
      }
      if (index >= options.warmup) latencies[measured++] = performance.now() - sentAt;
      received = Buffer.alloc(0);
      send();
    });
  });
}
