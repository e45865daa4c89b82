import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';
import { type HttpRequest, type HttpResponse, textResponse } from './http-message.ts';
import { DEFAULT_LISTENER_BOUNDS, Listener, type ListenerBounds } from './listener.ts';
import { MetricsRegistry } from './metrics.ts';
import { NodeMetrics } from './node-metrics.ts';

const silent = { warn: () => {}, error: () => {} };

async function listening(
  handle: (request: HttpRequest) => Promise<HttpResponse>,
  bounds: Partial<ListenerBounds> = {},
): Promise<{ url: string; port: number; listener: Listener; metrics: NodeMetrics }> {
  const metrics = new NodeMetrics(new MetricsRegistry());
  const all = { ...DEFAULT_LISTENER_BOUNDS, bodyBytes: 1_000, ...bounds };
  const listener = new Listener(http, handle, all, silent, metrics);
  const { port } = await listener.listen(0, '127.0.0.1');
  return { url: `http://127.0.0.1:${port}`, port, listener, metrics };
}

const echo = (request: HttpRequest): Promise<HttpResponse> =>
  Promise.resolve(textResponse('echo', 200, `${request.method} ${request.url} ${request.body.length}`));

test('passes requests on and keeps connections', async () => {
  const { url, listener, metrics } = await listening(echo);
  assert.equal(await (await fetch(`${url}/a?b`)).text(), 'GET /a?b 0');
  const response = await fetch(`${url}/x`, { method: 'POST', body: new Uint8Array(999) });
  assert.equal(await response.text(), 'POST /x 999');
  assert.equal(response.headers.get('content-length'), '11');
  const head = await fetch(`${url}/a`, { method: 'HEAD' });
  assert.equal(head.headers.get('content-length'), '9');
  assert.equal(await head.text(), '');
  assert.match(metrics.registry.text(), /perdure_http_connections 1\n/);
  await listener.close(100);
});

test('the body is bytes of its own, of a plain type', async () => {
  const bodies: Uint8Array[] = [];
  const { url, listener } = await listening((request) => {
    bodies.push(request.body);
    return echo(request);
  });
  await (await fetch(url, { method: 'POST', body: new Uint8Array(500).fill(7) })).text();
  assert.equal(Object.getPrototypeOf(bodies[0]), Uint8Array.prototype);
  assert.deepEqual(bodies[0], new Uint8Array(500).fill(7));
  await listener.close(100);
});

test('bodies beyond the bound are refused, announced or not', async () => {
  const { url, listener } = await listening(echo);
  const announced = await fetch(url, { method: 'POST', body: new Uint8Array(1_001) });
  assert.equal(announced.status, 413);
  assert.equal(await announced.text(), 'The request body is larger than 1000 bytes.');
  const chunked = await new Promise<number>((resolve, reject) => {
    const request = http.request(url, { method: 'POST' }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on('error', reject);
    for (let i = 0; i < 20; i++) request.write(new Uint8Array(100));
    request.end();
  });
  assert.equal(chunked, 413);
  assert.equal(await (await fetch(url, { method: 'POST', body: new Uint8Array(1_000) })).text(), 'POST / 1000');
  await listener.close(100);
});

test('all bodies together are bounded', async () => {
  const { url, port, listener } = await listening(echo, { receivingBytes: 1_500 });
  const slow = net.connect(port, '127.0.0.1');
  slow.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n');
  slow.write(new Uint8Array(900));
  await new Promise((resolve) => setTimeout(resolve, 50));
  const refused = await fetch(url, { method: 'POST', body: new Uint8Array(900) });
  assert.equal(refused.status, 503);
  slow.destroy();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal((await fetch(url, { method: 'POST', body: new Uint8Array(900) })).status, 200);
  await listener.close(100);
});

test('garbage and endless headers get an answer and an end', async () => {
  const { port, listener } = await listening(echo, { headerBytes: 2_000 });
  const talk = (text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = net.connect(port, '127.0.0.1', () => socket.write(text));
      let answer = '';
      socket.on('data', (data) => {
        answer += data;
      });
      socket.on('close', () => resolve(answer));
      socket.on('error', reject);
    });
  assert.match(await talk('hello there\r\n\r\n'), /^HTTP\/1.1 400 /);
  assert.match(await talk(`GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(4_000)}\r\n\r\n`), /^HTTP\/1.1 431 /);
  await listener.close(100);
});

test('a client that never finishes its headers is let go', async () => {
  const { port, listener } = await listening(echo, { headersTimeoutMs: 50, requestTimeoutMs: 50 });
  const socket = net.connect(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nhost: '));
  let answer = '';
  socket.on('data', (data) => {
    answer += data;
  });
  await new Promise((resolve) => socket.once('close', resolve));
  assert.match(answer, /^HTTP\/1.1 408 /);
  await listener.close(100);
});

test('a failing handler costs its connection, not the process', async () => {
  let failing = true;
  const { url, listener } = await listening((request) =>
    failing ? Promise.reject(new Error('broken')) : echo(request),
  );
  await assert.rejects(fetch(url));
  failing = false;
  assert.equal((await fetch(url)).status, 200);
  await listener.close(100);
});

test('a client that leaves before its answer harms nobody', async () => {
  const entered = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const { url, port, listener } = await listening(async (request) => {
    if (request.url === '/held') {
      entered.resolve();
      await held.promise;
    }
    return echo(request);
  });
  const leaver = net.connect(port, '127.0.0.1', () =>
    leaver.write('POST /held HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx'),
  );
  const halfway = net.connect(port, '127.0.0.1', () =>
    halfway.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nx'),
  );
  await entered.promise;
  leaver.resetAndDestroy();
  halfway.resetAndDestroy();
  held.resolve();
  assert.equal(await (await fetch(url)).text(), 'GET / 0');
  await listener.close(100);
});

test('closing lets requests finish and takes no new ones', async () => {
  let release = (): void => {};
  const entered = Promise.withResolvers<void>();
  const { url, listener } = await listening(async (request) => {
    const held = Promise.withResolvers<void>();
    release = held.resolve;
    entered.resolve();
    await held.promise;
    return echo(request);
  });
  const pending = fetch(url);
  await entered.promise;
  const closed = listener.close(5_000);
  await assert.rejects(fetch(`${url}/new`, { signal: AbortSignal.timeout(2_000) }));
  release();
  const response = await pending;
  assert.equal(await response.text(), 'GET / 0');
  assert.equal(response.headers.get('connection'), 'close');
  await closed;
});

test('closing does not wait longer than it was told', async () => {
  const { url, listener } = await listening(() => new Promise(() => {}));
  const pending = assert.rejects(fetch(url));
  await new Promise((resolve) => setTimeout(resolve, 50));
  await listener.close(10);
  await pending;
});

test('a port in use is the system’s error', async () => {
  const { port, listener } = await listening(echo);
  const metrics = new NodeMetrics(new MetricsRegistry());
  const second = new Listener(http, echo, { ...DEFAULT_LISTENER_BOUNDS, bodyBytes: 1 }, silent, metrics);
  await assert.rejects(second.listen(port, '127.0.0.1'), { code: 'EADDRINUSE' });
  await listener.close(100);
});
