import { DEFAULT_LIMITS, type Limits } from '../model/index.ts';
import { type Authenticator, checkExpiry } from './authenticator.ts';
import { createGateway, type Gateway, type GatewayBounds } from './gateway.ts';
import { MetricsRegistry } from './metrics.ts';
import { NodeMetrics } from './node-metrics.ts';
import type { TestSubnet } from './test-subnet.ts';

/** A gateway before a scripted subnet; errors that it logs fail the test by an unhandled exception. */
export function testGateway(
  subnet: TestSubnet,
  options: { limits?: Partial<Limits>; bounds?: Partial<GatewayBounds> } = {},
): Gateway {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const authenticator: Authenticator = {
    call(request) {
      checkExpiry(request.ingressExpiry, subnet.now(), limits);
      return undefined;
    },
    query(request) {
      if (!request.sender.isAnonymous) checkExpiry(request.ingressExpiry, subnet.now(), limits);
      return undefined;
    },
    readState(request) {
      if (!request.sender.isAnonymous) checkExpiry(request.ingressExpiry, subnet.now(), limits);
      return () => true;
    },
  };
  return createGateway({
    subnet,
    limits,
    authenticator,
    rootSubnetId: subnet.subnetId,
    implementationVersion: '0.0.0-test',
    metrics: new NodeMetrics(new MetricsRegistry()),
    log: {
      warn: () => {},
      error: (text, details) => {
        queueMicrotask(() => {
          throw new Error(`${text}: ${String(details?.['error'])}`, { cause: details?.['error'] });
        });
      },
    },
    ...(options.bounds === undefined ? {} : { bounds: options.bounds }),
  });
}
