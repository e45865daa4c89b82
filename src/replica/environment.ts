import type { CanisterImage, ExecutionEnvironment, PreparedModule } from '../sandbox/index.ts';
import type { CanisterState, SubnetState } from '../state/index.ts';
import { feesOf } from './resources.ts';

/** The parts of an execution's environment that are the canister's and the subnet's, whatever runs. */
export type CanisterEnvironment = Pick<
  ExecutionEnvironment,
  'canisterStatus' | 'controllers' | 'subnetId' | 'subnetSize' | 'rootKey' | 'environmentVariables' | 'costSchedule'
>;

const STATUS_NUMBER = { running: 1, stopping: 2, stopped: 3 } as const;

export function environmentOf(state: SubnetState, canister: CanisterState): CanisterEnvironment {
  const { network } = state;
  const fees = feesOf(state);
  return {
    canisterStatus: STATUS_NUMBER[canister.status.kind],
    controllers: canister.settings.controllers,
    subnetId: network.subnetId,
    subnetSize: fees.subnetSize,
    rootKey: network.rootPublicKey,
    environmentVariables: canister.settings.environmentVariables,
    costSchedule: fees.costSchedule,
  };
}

export function imageOf(canister: CanisterState, module: PreparedModule): CanisterImage {
  return {
    id: canister.id,
    module,
    heap: canister.heap,
    stable: canister.stable,
    wasmState: canister.wasmState,
    generation: canister.generation,
  };
}
