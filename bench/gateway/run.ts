/**
 * What the gateway itself costs, over a scripted subnet that answers at once: the steps of a request one by one, then
 * whole requests over sockets at 1, 8 and 64 connections. `node bench/gateway/run.ts [--seconds N]`; figures of one
 * machine are in `bench/results/gateway.md`.
 */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import { parseArgs } from 'node:util';
import { Bench } from 'tinybench';
import { encodeSelfDescribedCbor } from '../../src/codec/index.ts';
import { createAuthenticator } from '../../src/gateway/authenticator.ts';
import { certificateOf, requestStatusPath } from '../../src/gateway/certificate.ts';
import { decodeCall } from '../../src/gateway/envelope.ts';
import { requiredTarget } from '../../src/gateway/management-target.ts';
import {
  callContent,
  delegate,
  envelope,
  newIdentity,
  queryContent,
  readContent,
  send,
} from '../../src/gateway/test-client.ts';
import { testGateway } from '../../src/gateway/test-gateway.ts';
import { TestSubnet } from '../../src/gateway/test-subnet.ts';
import { canisterIdFromNumber, DEFAULT_LIMITS } from '../../src/model/index.ts';

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '2' } } });
const seconds = Number(values.seconds);

const subnet = await TestSubnet.create();
subnet.recording = false;
const canister = subnet.addCanister(1n);
for (let i = 2n; i < 1_000n; i++) subnet.addCanister(i);
const gateway = await testGateway(subnet, { http });
const identity = newIdentity();
const delegated = delegate(newIdentity(), newIdentity());
const path = `/api/v3/canister/${canister}`;

const query = envelope(queryContent(canister, 'q', identity), identity);
const anonymousQuery = envelope(queryContent(canister, 'q'));
const read = envelope(readContent([['time']], identity), identity);
const call = envelope(callContent(canister, 'hi', identity), identity);
const megabyte = envelope(callContent(canister, 'hi', identity, { arg: new Uint8Array(1 << 20) }), identity);
const decoded = decodeCall(call, 'call');
const decodedDelegated = decodeCall(envelope(callContent(canister, 'hi', delegated), delegated), 'call');
const authenticator = await createAuthenticator(subnet, DEFAULT_LIMITS);
for (let i = 0; i < 200; i++) await send(gateway, `${path}/call`, envelope(callContent(canister, 'hi')));
await send(gateway, `${path}/call`, call);
const certified = subnet.certified();
if (certified === undefined) throw new Error('nothing is certified');
const statusPath = requestStatusPath(decoded.requestId);

const bench = new Bench({ time: seconds * 300, warmupTime: 200 });
bench
  .add('decode a call of 60 bytes, request id included', () => decodeCall(call, 'call'))
  .add('decode a call of 1 MiB', () => decodeCall(megabyte, 'call'))
  .add('verify a call, Ed25519', () => authenticator.call(decoded))
  .add('verify a call with one delegation', () => authenticator.call(decodedDelegated))
  .add('target of a management call', () => requiredTarget(canisterIdFromNumber(1n), 'x', decoded.arg))
  .add('certificate of a request status, 1,000 canisters', () => certificateOf(certified, [statusPath]))
  .add('encode the answer of a call', () =>
    encodeSelfDescribedCbor({ status: 'replied', certificate: certificateOf(certified, [statusPath]) }),
  )
  .add('query, anonymous, without sockets', () => send(gateway, `${path}/query`, anonymousQuery))
  .add('query, signed, without sockets', () => send(gateway, `${path}/query`, query))
  .add('read_state of /time, signed, without sockets', () => send(gateway, `${path}/read_state`, read));
await bench.run();

console.log(`${os.cpus()[0]?.model}, ${os.cpus().length} cores, Node ${process.version}\n`);
console.log('| step | best, µs | median, µs | p99, µs |\n|---|--:|--:|--:|');
for (const task of bench.tasks) {
  const { result } = task;
  if (result.state === 'completed')
    console.log(
      `| ${task.name} | ${micros(result.latency.min)} | ${micros(result.latency.p50)} | ${micros(result.latency.p99)} |`,
    );
}

// --- over sockets -------------------------------------------------------------------------------------------------------

// The floor: a server that reads a body and answers 200 bytes, with nothing in between.
const floorBody = new Uint8Array(200);
const floor = http.createServer((request, response) => {
  request.resume();
  request.on('end', () => response.end(floorBody));
});
await new Promise<void>((resolve) => floor.listen(0, '127.0.0.1', resolve));
const floorPort = (floor.address() as AddressInfo).port;
const { port: gatewayPort } = await gateway.listen({ host: '127.0.0.1', port: 0 });

console.log(
  '\n| over sockets, client in the same thread | connections | per second | p50, ms | p99, ms | CPU µs each |',
);
console.log('|---|--:|--:|--:|--:|--:|');
for (const connections of [1, 8, 64])
  for (const [name, port, url, body] of [
    ['bare node:http', floorPort, '/', query],
    ['status', gatewayPort, '/api/v2/status', undefined],
    ['query, anonymous', gatewayPort, `${path}/query`, anonymousQuery],
    ['query, signed', gatewayPort, `${path}/query`, query],
    ['read_state, signed', gatewayPort, `${path}/read_state`, read],
  ] as const) {
    const before = process.cpuUsage();
    const latencies = await load(connections, port, url, body);
    const { user, system } = process.cpuUsage(before);
    latencies.sort((a, b) => a - b);
    const at = (share: number): string => (latencies[Math.floor(latencies.length * share)] ?? 0).toFixed(2);
    const each = Math.round((user + system) / latencies.length);
    const rate = Math.round(latencies.length / seconds);
    console.log(`| ${name} | ${connections} | ${rate} | ${at(0.5)} | ${at(0.99)} | ${each} |`);
  }
await gateway.close(0);
floor.close();

async function load(connections: number, port: number, url: string, body: Uint8Array | undefined): Promise<number[]> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  const latencies: number[] = [];
  const end = performance.now() + seconds * 1_000;
  const one = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const start = performance.now();
      const request = http.request(
        { host: '127.0.0.1', port, path: url, agent, method: body === undefined ? 'GET' : 'POST' },
        (response) => {
          response.resume();
          response.on('end', () => {
            if (response.statusCode !== 200) reject(new Error(`HTTP ${response.statusCode}`));
            latencies.push(performance.now() - start);
            resolve();
          });
        },
      );
      request.on('error', reject);
      request.end(body);
    });
  const worker = async (): Promise<void> => {
    while (performance.now() < end) await one();
  };
  await Promise.all(Array.from({ length: connections }, worker));
  agent.destroy();
  return latencies;
}

function micros(milliseconds: number): string {
  return (milliseconds * 1_000).toFixed(1);
}
