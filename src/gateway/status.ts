import { encodeSelfDescribedCbor } from '../codec/index.ts';
import { cborResponse, type HttpResponse } from './http-message.ts';
import type { Services } from './services.ts';

/** `/api/v2/status` (interface spec, "Status endpoint"): public facts about this network, not certified. */
export function statusResponse(services: Services): HttpResponse {
  const { subnet } = services;
  const certified = subnet.certified();
  return cborResponse(
    'status',
    encodeSelfDescribedCbor({
      root_key: subnet.rootKey,
      impl_version: services.implementationVersion,
      replica_health_status: certified === undefined ? 'waiting_for_certified_state' : 'healthy',
      certified_height: certified?.height ?? 0,
    }),
  );
}
