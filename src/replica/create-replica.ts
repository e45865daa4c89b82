import type { Limits } from '../model/index.ts';
import type { Sandbox } from '../sandbox/index.ts';
import type { SubnetState } from '../state/index.ts';
import type { Replica } from './contract.ts';
import { createManagement } from './management/index.ts';
import { SubnetReplica } from './replica.ts';

/** A replica that goes on from `state`, which it takes over: nobody else may change it from now on. */
export function createReplica(parts: {
  readonly state: SubnetState;
  readonly sandbox: Sandbox;
  readonly limits: Limits;
  /** Fulfilled when everybody else on this thread had a turn; long queries wait for it between their slices. */
  readonly letOthersRun?: () => Promise<void>;
}): Replica {
  return new SubnetReplica({ ...parts, management: createManagement() });
}
