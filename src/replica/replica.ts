import type { LabelledTree } from '../certification/index.ts';
import { toHex } from '../codec/index.ts';
import type { Batch, Ingress, Limits, Principal, Response, Time, UserError } from '../model/index.ts';
import { HostFault, type PreparedModule, type Sandbox } from '../sandbox/index.ts';
import { type CanisterState, type ManagementCall, StateTree, type SubnetState } from '../state/index.ts';
import { Agenda } from './agenda.ts';
import { expireCalls, induct as inductCalls, respond } from './calls.ts';
import { ingressHistoryFull, skippedByOperator } from './canister-error.ts';
import { charge } from './charging.ts';
import type { Query, QueryOutcome, Replica, RoundOutcome } from './contract.ts';
import { canisterDigests, nextStateHash, roundDigest } from './digest.ts';
import {
  expire,
  induct as inductIngress,
  ingressUnaffordable,
  markProcessing,
  mayAskWhileFrozen,
} from './ingress-history.ts';
import type { Management } from './management/index.ts';
import { RoundHost } from './management-host.ts';
import { MessageExecution } from './message-execution.ts';
import { outcomeOf, responseForUser } from './outcome.ts';
import { executeQuery, inspectMessage, type QueryParts } from './query.ts';
import { freezingThresholdOf } from './resources.ts';
import { Round } from './round.ts';
import { ROUND_ROBIN, type Scheduler } from './scheduler.ts';

/** Instructions that a call to the management canister counts for in the round's budget when it says nothing itself. */
const MANAGEMENT_CALL_OVERHEAD = 100_000n;

const NO_TARGET = 'none';
/** Compiled modules that are kept at hand; any other is prepared again when it is needed. */
const MODULES_MAX = 256;

export interface ReplicaParts {
  /** Taken over: nobody else may change it from now on. */
  readonly state: SubnetState;
  readonly sandbox: Sandbox;
  readonly limits: Limits;
  readonly management: Management;
  readonly scheduler?: Scheduler;
  /** Fulfilled when everybody else on this thread had a turn; long queries wait for it now and then. */
  readonly letOthersRun?: () => Promise<void>;
}

/** The round of ARCHITECTURE section 1 on one state: see the folder's gate. */
export class SubnetReplica implements Replica {
  readonly state: SubnetState;
  readonly #sandbox: Sandbox;
  readonly #limits: Limits;
  readonly #management: Management;
  readonly #scheduler: Scheduler;
  readonly #letOthersRun: () => Promise<void>;
  readonly #agenda: Agenda;
  readonly #execution: MessageExecution = new MessageExecution();
  readonly #modules: Map<string, PreparedModule> = new Map();
  readonly #stateTree: StateTree;
  /** Decoded once: an installation carries megabytes. */
  readonly #targets: WeakMap<ManagementCall, string> = new WeakMap();
  #inRound = false;
  /** Reads that wait for the end of the present round: they never see half of one, and come before the next. */
  readonly #waiting: (() => void)[] = [];
  #fault: HostFault | undefined;

  constructor(parts: ReplicaParts) {
    this.state = parts.state;
    this.#sandbox = parts.sandbox;
    this.#limits = parts.limits;
    this.#management = parts.management;
    this.#scheduler = parts.scheduler ?? ROUND_ROBIN;
    this.#letOthersRun = parts.letOthersRun ?? (() => Promise.resolve());
    this.#agenda = new Agenda(parts.state, parts.limits);
    this.#stateTree = StateTree.of(parts.state);
  }

  get tree(): LabelledTree {
    return this.#stateTree.tree;
  }

  get busy(): boolean {
    return this.#agenda.hasReady || this.state.managementCalls.some((call) => (call.wakeAt ?? 0n) === 0n);
  }

  nextDeadline(): Time | undefined {
    const { state } = this;
    let next = this.#agenda.next((canister) => canister.status.kind === 'running' && !this.#isFrozen(canister));
    for (const { wakeAt } of state.managementCalls)
      if (wakeAt !== undefined && wakeAt > 0n && (next === undefined || wakeAt < next)) next = wakeAt;
    return next;
  }

  async execute(batch: Batch): Promise<RoundOutcome> {
    if (this.#fault !== undefined) throw this.#fault;
    if (this.#inRound) throw new HostFault('rounds must not overlap');
    this.#inRound = true;
    try {
      return await this.#execute(batch);
    } catch (cause) {
      this.#fault =
        cause instanceof HostFault
          ? cause
          : new HostFault(`height ${batch.height}: ${cause instanceof Error ? cause.message : String(cause)}`, {
              cause,
            });
      throw this.#fault;
    } finally {
      this.#inRound = false;
      for (const go of this.#waiting.splice(0)) go();
    }
  }

  #betweenRounds(): Promise<void> {
    return this.#inRound ? new Promise((go) => this.#waiting.push(go)) : Promise.resolve();
  }

  async query(query: Query): Promise<QueryOutcome> {
    await this.#betweenRounds();
    const { height } = this.state;
    let rested = false;
    const parts = this.#queryParts(() => {
      rested = true;
    });
    const outcome = await executeQuery(parts, query);
    // What a long one called meanwhile may have been a later state.
    return { response: responseForUser(outcome), height: rested ? this.state.height : height };
  }

  async inspectIngress(ingress: Ingress): Promise<UserError | undefined> {
    await this.#betweenRounds();
    const { state } = this;
    const capacity = this.#limits.ingressHistoryEntries;
    if (state.ingressHistory.size >= capacity) return ingressHistoryFull(capacity);
    if (ingress.canisterId.isManagementCanister || ingress.canisterId.equals(state.network.subnetId))
      return this.#inspectManagement(ingress);
    const canister = state.canisters.get(ingress.canisterId.key);
    if (canister !== undefined && canister.status.kind === 'running') {
      const error = ingressUnaffordable(this.#newRound(), canister, ingress);
      if (error !== undefined) return error;
    }
    return inspectMessage(this.#queryParts(), ingress);
  }

  #inspectManagement(ingress: Ingress): UserError | undefined {
    const round = this.#newRound();
    const payer = this.state.canisters.get(ingress.effectiveCanisterId.key);
    const refused = this.#management.inspect(ingress, this.#host(round));
    if (refused !== undefined || payer === undefined || mayAskWhileFrozen(ingress)) return refused;
    return ingressUnaffordable(round, payer, ingress);
  }

  /** Settles the stacks of paused messages. The replica is not used any more. */
  async close(): Promise<void> {
    await this.#betweenRounds();
    await this.#execution.close();
    await this.#management.close?.();
    await this.#management.close?.();
  }

  async #execute(batch: Batch): Promise<RoundOutcome> {
    const { state } = this;
    if (batch.height !== state.height + 1)
      throw new HostFault(`batch of height ${batch.height} after height ${state.height}`);
    if (batch.time <= state.time) throw new HostFault(`batch of height ${batch.height} goes back in time`);
    state.height = batch.height;
    state.time = batch.time;
    state.randomness = batch.randomness;
    state.protocolVersion = batch.protocolVersion;
    state.registryVersion = batch.registryVersion;
    const round = this.#newRound();
    const host = this.#host(round);
    await this.#decisions(round, batch);
    this.#agenda.forgiveInstallDebts((canister) => round.touch(canister.id.key));
    expire(round);
    for (const ingress of batch.ingress) this.#induct(round, host, ingress);
    expireCalls(round);
    inductCalls(round);
    charge(round, (canister) => this.#uninstall(round, host, canister));
    await this.#iterate(round, host);
    return this.#finish(round);
  }

  async #decisions(round: Round, batch: Batch): Promise<void> {
    for (const decision of batch.operatorDecisions) {
      if (decision.kind !== 'skip_message') continue;
      const canister = this.state.canisters.get(decision.canisterKey);
      if (canister !== undefined) await this.#execution.passOver(round, canister, skippedByOperator(decision.reason));
    }
  }

  #induct(round: Round, host: RoundHost, ingress: Ingress): void {
    const toManagement =
      ingress.canisterId.isManagementCanister || ingress.canisterId.equals(this.state.network.subnetId);
    const known = this.state.ingressHistory.has(toHex(ingress.requestId));
    inductIngress(round, ingress, toManagement && !known ? this.#management.inspect(ingress, host) : undefined);
  }

  #uninstall(round: Round, host: RoundHost, canister: CanisterState): void {
    this.#management.outOfCycles(canister, host);
    round.agenda.refreshCode(canister, undefined);
    this.#sandbox.evict(canister.id);
  }

  /** Inner rounds: management calls, then a turn for every canister with work, then delivery of what they sent. */
  async #iterate(round: Round, host: RoundHost): Promise<void> {
    const asked = new Set<bigint>();
    let first = true;
    while (round.instructions < this.#limits.roundInstructions || first) {
      const managed = await this.#manage(round, host, asked, first ? 'all' : 'new and waiting');
      if (first) this.#scheduleTasks(round);
      first = false;
      const ran = await this.#turns(round);
      const delivered = inductCalls(round);
      if (!managed && !ran && !delivered) break;
    }
    // What was waited for may have come with the last turn; nobody asks for a round only to find out.
    await this.#manage(round, host, asked, 'waiting');
    inductCalls(round);
  }

  /** @returns whether any call was answered. */
  async #manage(
    round: Round,
    host: RoundHost,
    asked: Set<bigint>,
    which: 'all' | 'new and waiting' | 'waiting',
  ): Promise<boolean> {
    const { state } = this;
    let progress = false;
    round.heldBack.clear();
    for (const call of [...state.managementCalls]) {
      // A call that goes on in the next round is asked once in each, one that waits for something again and again.
      const waits = asked.has(call.id) && (call.wakeAt ?? 0n) > 0n;
      if (!waits && (which === 'waiting' || asked.has(call.id))) continue;
      const target = this.#targetOf(call);
      if (target !== undefined && state.canisters.get(target)?.paused !== undefined) {
        round.heldBack.add(target);
        continue;
      }
      asked.add(call.id);
      const outcome = await this.#management.execute(call, host);
      round.instructions += MANAGEMENT_CALL_OVERHEAD;
      round.instructions += outcome.instructions ?? 0n;
      if (outcome.kind === 'pending') {
        call.wakeAt = outcome.wakeAt;
        call.occupies = outcome.occupies?.key;
        if (call.origin.kind === 'ingress') markProcessing(round, call.origin.requestId);
        continue;
      }
      progress = true;
      round.executedMessages += 1;
      const at = state.managementCalls.indexOf(call);
      if (at >= 0) state.managementCalls.splice(at, 1);
      const refund = call.cycles;
      call.cycles = 0n;
      respond(round, call.origin, outcomeOf(outcome.response), refund);
      inductCalls(round);
    }
    return progress;
  }

  /** Key of the canister that a management call is about. */
  #targetOf(call: ManagementCall): string | undefined {
    const known = this.#targets.get(call);
    if (known !== undefined) return known === NO_TARGET ? undefined : known;
    const target = this.#management.target(call.method, call.arg);
    this.#targets.set(call, target?.key ?? NO_TARGET);
    return target?.key;
  }

  /** Timers and heartbeats that are due go before what waits already. */
  #scheduleTasks(round: Round): void {
    const { state } = this;
    for (const key of this.#agenda.dueTimers(state.time)) this.#scheduleTask(round, key, 'global_timer');
    for (const key of this.#agenda.dueHeartbeats(state.time)) this.#scheduleTask(round, key, 'heartbeat');
  }

  #scheduleTask(round: Round, key: string, task: 'global_timer' | 'heartbeat'): void {
    const canister = this.state.canisters.get(key);
    if (canister === undefined) return;
    const module = round.moduleOf(canister);
    const runs = canister.status.kind === 'running' && module?.entryPoints.has(`canister_${task}`) === true;
    if (!runs || this.#isFrozen(canister)) {
      if (task === 'global_timer') this.#agenda.retryTimer(canister);
      return;
    }
    if (canister.input.some((input) => input.kind === 'task' && input.task === task)) return;
    if (task === 'heartbeat') canister.lastHeartbeat = this.state.time;
    canister.input.unshift({ kind: 'task', task });
    round.touch(key);
    this.#agenda.refresh(canister);
  }

  async #turns(round: Round): Promise<boolean> {
    const { state } = this;
    const occupied = new Set<string>();
    for (const call of state.managementCalls) if (call.occupies !== undefined) occupied.add(call.occupies);
    let ran = false;
    for (const key of this.#scheduler.order(this.#agenda.ready(), state.scheduleCursor)) {
      if (round.instructions >= this.#limits.roundInstructions) {
        state.scheduleCursor = key;
        break;
      }
      const canister = state.canisters.get(key);
      if (canister === undefined || occupied.has(key)) continue;
      // A management call waits for the end of its message: nothing new is begun before that is served.
      if (round.heldBack.has(key) && canister.paused === undefined) continue;
      const end = round.instructions + this.#limits.sliceInstructions;
      do {
        await this.#execution.run(round, canister);
        ran = true;
      } while (
        canister.paused === undefined &&
        canister.input.length > 0 &&
        !round.heldBack.has(key) &&
        round.instructions < end &&
        round.instructions < this.#limits.roundInstructions
      );
    }
    return ran;
  }

  #finish(round: Round): RoundOutcome {
    const { state } = this;
    state.executedMessages = (state.executedMessages ?? 0n) + BigInt(round.executedMessages);
    const changes = { canisters: round.changed.keys(), requests: round.changedIngress };
    const certifiedRoot = this.#stateTree.update(state, changes).rootHash;
    const digests = canisterDigests(round);
    state.stateHash = nextStateHash(state.stateHash, roundDigest(round, digests), certifiedRoot);
    return {
      height: state.height,
      time: state.time,
      certifiedRoot,
      stateHash: state.stateHash,
      canisterDigests: digests,
      completed: round.completed,
      executedMessages: round.executedMessages,
      instructions: round.instructions,
      logs: round.logs,
    };
  }

  #isFrozen(canister: CanisterState): boolean {
    return canister.balance < freezingThresholdOf(this.state, canister);
  }

  #newRound(): Round {
    return new Round({
      state: this.state,
      limits: this.#limits,
      sandbox: this.#sandbox,
      agenda: this.#agenda,
      moduleOf: (canister) => this.#moduleOf(canister),
    });
  }

  #host(round: Round): RoundHost {
    return new RoundHost(round, (hash) => this.#moduleByHash(hash));
  }

  #moduleOf(canister: CanisterState): PreparedModule | undefined {
    return canister.code === undefined ? undefined : this.#moduleByHash(canister.code.moduleHash);
  }

  #moduleByHash(hash: string): PreparedModule | undefined {
    const known = this.#modules.get(hash);
    if (known !== undefined) return known;
    const bytes = this.state.modules.get(hash);
    if (bytes === undefined) return undefined;
    const module = this.#sandbox.prepare(bytes);
    for (const other of this.#modules.keys())
      if (this.#modules.size >= MODULES_MAX || !this.state.modules.has(other)) this.#modules.delete(other);
    this.#modules.set(hash, module);
    return module;
  }

  #queryParts(onRest: () => void = () => undefined): QueryParts {
    return {
      rest: async () => {
        onRest();
        await this.#letOthersRun();
        await this.#betweenRounds();
      },
      state: this.state,
      sandbox: this.#sandbox,
      limits: this.#limits,
      moduleOf: (canister) => this.#moduleOf(canister),
      managementQuery: (caller: Principal, callee: Principal, method: string, arg: Uint8Array): Response =>
        this.#management.query(
          { sender: caller, effectiveCanisterId: callee, method, arg },
          this.#host(this.#newRound()),
        ),
    };
  }
}
