import type { Gateway } from '../gateway/index.ts';

/** A `fetch` that asks a gateway in this process. */
export function inProcessFetch(gateway: Gateway): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const { pathname, search, host } = new URL(request.url);
    const answer = await gateway.handle({
      method: request.method,
      url: `${pathname}${search}`,
      host,
      body: new Uint8Array(await request.arrayBuffer()),
      receivedAt: performance.now(),
    });
    const headers = new Headers();
    for (let i = 0; i + 1 < answer.headers.length; i += 2)
      headers.append(String(answer.headers[i]), String(answer.headers[i + 1]));
    const { body } = answer;
    return new Response(typeof body === 'string' ? body : Uint8Array.from(body), { status: answer.status, headers });
  };
}
