import type { Principal, UserError } from '../model/index.ts';
import type { CanisterImage, ExecutionEnvironment, PreparedModule, Sandbox } from '../sandbox/index.ts';
import type { CanisterState, SubnetState } from '../state/index.ts';
import { rejectOpenCalls, rejectQueue } from './calls.ts';
import { appendLog } from './canister-log.ts';
import { environmentOf, imageOf } from './environment.ts';
import type { HookEnvironment, ManagementHost, MemoryUse } from './management/index.ts';
import { watchMemory } from './message-execution.ts';
import { freezingThresholdOf, idleUseOf, largest, memoryUseOf } from './resources.ts';
import type { Round } from './round.ts';

/** What a round lends to the management canister; see `ManagementHost`. */
export class RoundHost implements ManagementHost {
  readonly state: SubnetState;
  readonly sandbox: Sandbox;
  readonly limits: Round['limits'];
  readonly fees: Round['fees'];
  readonly #round: Round;
  readonly #moduleByHash: (hash: string) => PreparedModule | undefined;

  constructor(round: Round, moduleByHash: (hash: string) => PreparedModule | undefined) {
    this.#round = round;
    this.#moduleByHash = moduleByHash;
    this.state = round.state;
    this.sandbox = round.sandbox;
    this.limits = round.limits;
    this.fees = round.fees;
  }

  preparedModule(moduleHash: string): PreparedModule | undefined {
    return this.#moduleByHash(moduleHash);
  }

  image(canister: CanisterState): CanisterImage | undefined {
    const module = this.#round.moduleOf(canister);
    return module === undefined ? undefined : imageOf(canister, module);
  }

  environment(canister: CanisterState, entry: HookEnvironment): ExecutionEnvironment {
    return {
      ...environmentOf(this.state, canister),
      time: this.state.time,
      caller: entry.caller,
      deadline: 0n,
      canisterVersion: entry.canisterVersion ?? canister.version,
      replicated: true,
      balance: entry.balance ?? canister.balance,
      freezingThresholdCycles: this.freezingThreshold(canister),
      cyclesAvailable: 0n,
      cyclesRefunded: 0n,
      responded: true,
      wasmMemoryLimitBytes: canister.settings.wasmMemoryLimit,
      growableBytes: largest(0n, this.limits.subnetMemoryBytes - this.#round.agenda.memory.total),
      queueCapacity: () => 0,
      totalInstructions: entry.totalInstructions,
      callContextInstructions: 0n,
    };
  }

  memoryUse(canister: CanisterState): MemoryUse {
    return memoryUseOf(this.state, canister);
  }

  idleUse(canister: CanisterState): ReturnType<typeof idleUseOf> {
    return idleUseOf(this.state, canister);
  }

  freezingThreshold(canister: CanisterState): bigint {
    return freezingThresholdOf(this.state, canister);
  }

  subnetMemoryUse(): bigint {
    return this.#round.agenda.memory.total;
  }

  rejectOpenCalls(canister: CanisterState, reason: UserError): void {
    rejectOpenCalls(this.#round, canister, reason);
  }

  log(canister: CanisterState, content: Uint8Array): void {
    appendLog(this.#round, canister, content);
  }

  changed(canisterId: Principal, pages?: 'all'): void {
    const round = this.#round;
    const { key } = canisterId;
    const canister = this.state.canisters.get(key);
    if (pages === 'all') {
      round.touchAllPages(key);
      round.sandbox.evict(canisterId);
    } else round.touch(key);
    if (canister === undefined) {
      const gone = round.agenda.forget(key);
      if (gone !== undefined) rejectQueue(round, gone);
      return;
    }
    const module = round.moduleOf(canister);
    round.agenda.refreshCode(canister, module);
    if (module !== undefined) watchMemory(round, canister, module);
  }
}
