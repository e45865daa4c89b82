import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { GatewayLog } from './contract.ts';
import { type HttpRequest, type HttpResponse, textResponse } from './http-message.ts';
import type { NodeMetrics } from './node-metrics.ts';

/** How servers are made: `node:http` in a process, something else in a test. */
export interface HttpFacility {
  createServer(options: ServerOptions, listener: (request: IncomingMessage, response: ServerResponse) => void): Server;
}

/** What one peer, and all of them together, may take up. */
export interface ListenerBounds {
  readonly connections: number;
  /** Bodies being received, all together. */
  readonly receivingBytes: number;
  readonly bodyBytes: number;
  readonly headerBytes: number;
  readonly headersTimeoutMs: number;
  /** From the first byte of a request to the last of its body. */
  readonly requestTimeoutMs: number;
  /** How long an idle connection is kept. */
  readonly keepAliveMs: number;
  /** How long a connection may make no progress, waits for an answer included. */
  readonly stallMs: number;
}

export const DEFAULT_LISTENER_BOUNDS: Omit<ListenerBounds, 'bodyBytes'> = {
  connections: 10_000,
  receivingBytes: 256 << 20,
  headerBytes: 16 << 10,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  keepAliveMs: 65_000,
  stallMs: 120_000,
};

type Handler = (request: HttpRequest) => Promise<HttpResponse>;

const EMPTY = new Uint8Array(0);

/** Sockets on one side, `handle` on the other: reads bodies within bounds, writes answers, closes in order. */
export class Listener {
  readonly #handle: Handler;
  readonly #bounds: ListenerBounds;
  readonly #log: GatewayLog;
  readonly #metrics: NodeMetrics;
  readonly #server: Server;
  #receivingBytes = 0;
  #open = 0;
  #closing = false;

  constructor(http: HttpFacility, handle: Handler, bounds: ListenerBounds, log: GatewayLog, metrics: NodeMetrics) {
    this.#handle = handle;
    this.#bounds = bounds;
    this.#log = log;
    this.#metrics = metrics;
    this.#server = http.createServer(
      {
        keepAlive: true,
        noDelay: true,
        maxHeaderSize: bounds.headerBytes,
        headersTimeout: bounds.headersTimeoutMs,
        requestTimeout: bounds.requestTimeoutMs,
        keepAliveTimeout: bounds.keepAliveMs,
        connectionsCheckingInterval: Math.min(5_000, bounds.headersTimeoutMs),
      },
      (request, response) => this.#receive(request, response),
    );
    this.#server.maxConnections = bounds.connections;
    this.#server.timeout = bounds.stallMs;
    this.#server.on('connection', (socket) => this.#count(socket));
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => refuseGarbage(error, socket as Socket));
    this.#server.on('checkContinue', (request, response) => {
      if (!this.#tooLarge(request, response)) response.writeContinue();
      this.#receive(request, response);
    });
  }

  /** @throws the system's error, e.g. code EADDRINUSE. */
  listen(port: number, host: string): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ port, host, backlog: 1024 }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.#log.error('HTTP server', { error }));
        resolve(this.#server.address() as AddressInfo);
      });
    });
  }

  /** Takes no new connections, lets requests finish for `graceMs`, then closes what is left. */
  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.#server.closeAllConnections(), graceMs);
      this.#server.close(() => {
        clearTimeout(timer);
        resolve();
      });
      this.#server.closeIdleConnections();
    });
  }

  #count(socket: Socket): void {
    this.#open++;
    this.#metrics.connections.set(this.#open);
    socket.once('close', () => {
      this.#open--;
      this.#metrics.connections.set(this.#open);
    });
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    if (response.writableEnded || this.#tooLarge(request, response)) return;
    if (request.headers['content-length'] === undefined && request.headers['transfer-encoding'] === undefined) {
      request.resume();
      void this.#answer(request, response, EMPTY);
      return;
    }
    const chunks: Buffer[] = [];
    let length = 0;
    let failed = false;
    request.on('data', (chunk: Buffer) => {
      if (failed) return;
      length += chunk.length;
      this.#receivingBytes += chunk.length;
      if (length > this.#bounds.bodyBytes || this.#receivingBytes > this.#bounds.receivingBytes) {
        failed = true;
        chunks.length = 0;
        this.#refuseBody(request, response, length > this.#bounds.bodyBytes);
      } else chunks.push(chunk);
    });
    request.on('end', () => {
      if (failed) return;
      void this.#answer(request, response, joined(chunks, length));
    });
    request.on('error', () => {
      failed = true;
    });
    // Comes once for every request, after its end or its failure.
    request.on('close', () => {
      this.#receivingBytes -= length;
    });
  }

  /** Refuses a body by its announced length, before any of it is read. */
  #tooLarge(request: IncomingMessage, response: ServerResponse): boolean {
    const announced = request.headers['content-length'];
    if (announced === undefined || Number(announced) <= this.#bounds.bodyBytes) return false;
    if (!response.writableEnded) this.#refuseBody(request, response, true);
    return true;
  }

  #refuseBody(request: IncomingMessage, response: ServerResponse, tooLarge: boolean): void {
    const refusal = tooLarge
      ? textResponse('body', 413, `The request body is larger than ${this.#bounds.bodyBytes} bytes.`)
      : textResponse('body', 503, 'Service is overloaded, try again later.');
    this.#metrics.refusals.labels(tooLarge ? 'too_large' : 'overloaded').add();
    this.#metrics.requests.labels('body', String(refusal.status)).add();
    // The rest of the body is read and dropped, within the request timeout, so that the answer reaches the client;
    // then the connection ends.
    response.shouldKeepAlive = false;
    request.resume();
    write(response, refusal, request.method === 'HEAD');
  }

  async #answer(request: IncomingMessage, response: ServerResponse, body: Uint8Array): Promise<void> {
    const method = request.method ?? 'GET';
    try {
      const answer = await this.#handle({
        method,
        url: request.url ?? '/',
        host: (request.headers.host ?? '').toLowerCase(),
        body,
        receivedAt: performance.now(),
      });
      if (response.destroyed) return;
      if (this.#closing) response.shouldKeepAlive = false;
      write(response, answer, method === 'HEAD');
    } catch (error) {
      this.#log.error('answering a request failed', { error });
      response.destroy();
    }
  }
}

function write(response: ServerResponse, answer: HttpResponse, withoutBody: boolean): void {
  const { body } = answer;
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  response.writeHead(answer.status, [...answer.headers, 'content-length', String(bytes.length)]);
  if (withoutBody) response.end();
  else response.end(bytes);
}

/** The body as plain bytes in memory of its own; never a Buffer, whose `slice` does not copy. */
function joined(chunks: readonly Buffer[], length: number): Uint8Array {
  const only = chunks[0];
  if (chunks.length === 1 && only !== undefined) return new Uint8Array(only.buffer, only.byteOffset, only.length);
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** Answers what is no HTTP request, if anybody still listens. */
function refuseGarbage(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`, () => socket.destroy());
}
