import { DEFAULT_LIMITS, type Limits } from '../model/index.ts';
import { createGateway, type Gateway, type GatewayBounds } from './gateway.ts';
import type { HttpFacility } from './listener.ts';
import { MetricsRegistry } from './metrics.ts';
import { NodeMetrics } from './node-metrics.ts';
import type { TestSubnet } from './test-subnet.ts';

/** A gateway before a scripted subnet; errors that it logs fail the test by an unhandled exception. */
export function testGateway(
  subnet: TestSubnet,
  options: { limits?: Partial<Limits>; bounds?: Partial<GatewayBounds>; http?: HttpFacility } = {},
): Promise<Gateway> {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  return createGateway({
    subnet,
    limits,
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
    ...(options.http === undefined ? {} : { http: options.http }),
    ...(options.bounds === undefined ? {} : { bounds: options.bounds }),
  });
}
