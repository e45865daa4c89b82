import type { Limits, Time } from '../model/index.ts';
import type { PreparedModule } from '../sandbox/index.ts';
import type { CanisterState, SubnetState } from '../state/index.ts';
import { AnswerIndex } from './answer-index.ts';
import { DeadlineHeap } from './deadline-heap.ts';
import { INSTALL_CREDIT_PER_ROUND } from './management/index.ts';
import { countedMemory, exhaustionOf, largest, SubnetMemory } from './resources.ts';

/** Nobody watches the balance of who can pay for longer than this; any message or charge looks again. */
const EXHAUSTION_HORIZON = 30n * 86_400n * 1_000_000_000n;

/**
 * Where there is work and when there will be: an index over the state, so that a round costs what it does and not what
 * the subnet holds. Wholly derived; built once from a state, then told what changed.
 */
export class Agenda {
  readonly memory: SubnetMemory = new SubnetMemory();
  readonly answers: AnswerIndex;
  readonly #known: Map<string, CanisterState> = new Map();
  /** Canisters with a message that waits or is paused. */
  readonly #ready: Set<string> = new Set();
  readonly #timers: DeadlineHeap = new DeadlineHeap();
  /** The timer that was last pushed for a canister, so that an unchanged one is not pushed again. */
  readonly #timerOf: Map<string, Time> = new Map();
  readonly #blockedTimers: Set<string> = new Set();
  readonly #heartbeats: Set<string> = new Set();
  /** Canisters that have installed more than their share. */
  readonly #debtors: Set<string> = new Set();
  /** Best-effort calls by `<caller key>/<callback id>`. */
  readonly #callDeadlines: DeadlineHeap = new DeadlineHeap();
  /** Ingress messages by request id. */
  readonly #ingressExpiries: DeadlineHeap = new DeadlineHeap();
  /** Canisters that will not be able to pay for their memory before long, by when that is. */
  readonly #exhaustions: DeadlineHeap = new DeadlineHeap();
  readonly #exhaustionOf: Map<string, Time> = new Map();
  readonly #state: SubnetState;
  readonly #limits: Limits;

  constructor(state: SubnetState, limits: Limits) {
    this.#state = state;
    this.#limits = limits;
    this.answers = new AnswerIndex(state);
    for (const [key, canister] of state.canisters) {
      this.refresh(canister);
      if (canister.lastHeartbeat > 0n) this.#heartbeats.add(key);
      for (const callback of canister.callbacks.values())
        if (callback.deadline > 0n) this.callDeadline(key, callback.id, callback.deadline);
    }
    for (const [requestId, record] of state.ingressHistory) this.#ingressExpiries.push(record.expiry, requestId);
  }

  /** After a message, a delivery, or any other change. */
  refresh(canister: CanisterState): void {
    const key = canister.id.key;
    this.#known.set(key, canister);
    this.memory.update(key, countedMemory(this.#state, canister));
    if (canister.installDebit > 0n) this.#debtors.add(key);
    if (canister.input.length > 0 || canister.paused !== undefined) this.#ready.add(key);
    else this.#ready.delete(key);
    this.#watchBalance(canister);
    const timer = canister.globalTimer;
    if (timer !== (this.#timerOf.get(key) ?? 0n)) {
      if (timer === 0n) this.#timerOf.delete(key);
      else {
        this.#timerOf.set(key, timer);
        this.#timers.push(timer, key);
      }
    }
  }

  /**
   * After anything that may have changed code or memory. Marks in the state that a canister has a heartbeat
   * (`lastHeartbeat` > 0), so that opening a state needs no module.
   */
  refreshCode(canister: CanisterState, module: PreparedModule | undefined): void {
    const key = canister.id.key;
    if (module?.entryPoints.has('canister_heartbeat')) {
      if (canister.lastHeartbeat === 0n) canister.lastHeartbeat = 1n;
      this.#heartbeats.add(key);
    } else {
      canister.lastHeartbeat = 0n;
      this.#heartbeats.delete(key);
    }
    this.refresh(canister);
  }

  /** A canister was deleted. @returns it as it was last known. */
  forget(key: string): CanisterState | undefined {
    const canister = this.#known.get(key);
    this.memory.update(key, 0n);
    this.#known.delete(key);
    this.#ready.delete(key);
    this.#timerOf.delete(key);
    this.#heartbeats.delete(key);
    this.#exhaustionOf.delete(key);
    return canister;
  }

  #watchBalance(canister: CanisterState): void {
    const key = canister.id.key;
    const runsOut = canister.code === undefined ? undefined : exhaustionOf(this.#state, canister);
    if (runsOut === undefined || runsOut > this.#state.time + EXHAUSTION_HORIZON) {
      this.#exhaustionOf.delete(key);
      return;
    }
    if (this.#exhaustionOf.get(key) === runsOut) return;
    this.#exhaustionOf.set(key, runsOut);
    this.#exhaustions.push(runsOut, key);
  }

  callDeadline(callerKey: string, callbackId: bigint, deadline: Time): void {
    this.#callDeadlines.push(deadline, `${callerKey}/${callbackId}`);
  }

  ingressExpiry(requestId: string, expiry: Time): void {
    this.#ingressExpiries.push(expiry, requestId);
  }

  /** Lowers what canisters owe for installations by a round's credit. */
  forgiveInstallDebts(forgiven: (canister: CanisterState) => void): void {
    for (const key of [...this.#debtors].sort()) {
      const canister = this.#state.canisters.get(key);
      if (canister === undefined || canister.installDebit === 0n) {
        this.#debtors.delete(key);
        continue;
      }
      canister.installDebit = largest(0n, canister.installDebit - INSTALL_CREDIT_PER_ROUND);
      forgiven(canister);
    }
  }

  get hasReady(): boolean {
    return this.#ready.size > 0;
  }

  /** Keys of canisters with work, ascending. */
  ready(): readonly string[] {
    return [...this.#ready].sort();
  }

  /** Canisters whose timer has come, ascending. Who cannot run it now is to be given back with `retryTimer`. */
  dueTimers(now: Time): readonly string[] {
    const due = new Set([...this.#timers.takeDue(now), ...this.#blockedTimers]);
    this.#blockedTimers.clear();
    return [...due].sort().filter((key) => {
      const timer = this.#state.canisters.get(key)?.globalTimer ?? 0n;
      return timer !== 0n && timer <= now;
    });
  }

  /** A due timer that its canister could not run: it is tried again in a later round, which it does not ask for. */
  retryTimer(canister: CanisterState): void {
    this.#blockedTimers.add(canister.id.key);
  }

  dueHeartbeats(now: Time): readonly string[] {
    const due: string[] = [];
    for (const key of this.#heartbeats) {
      const canister = this.#state.canisters.get(key);
      if (canister !== undefined && canister.lastHeartbeat + this.#limits.heartbeatPeriodNanos <= now) due.push(key);
    }
    return due.sort();
  }

  dueCalls(now: Time): readonly string[] {
    return this.#callDeadlines.takeDue(now);
  }

  dueIngress(now: Time): readonly string[] {
    return this.#ingressExpiries.takeDue(now);
  }

  /** The earliest moment at which a round should happen though no message arrives. */
  next(canRun: (canister: CanisterState) => boolean): Time | undefined {
    let next: Time | undefined;
    const consider = (time: Time): void => {
      if (next === undefined || time < next) next = time;
    };
    this.#dropStaleTimers();
    const timer = this.#timers.peek();
    if (timer !== undefined) consider(timer.time);
    for (const key of this.#heartbeats) {
      const canister = this.#state.canisters.get(key);
      if (canister !== undefined && canRun(canister))
        consider(canister.lastHeartbeat + this.#limits.heartbeatPeriodNanos);
    }
    this.#dropStaleExhaustions();
    const exhaustion = this.#exhaustions.peek();
    if (exhaustion !== undefined) {
      const charged = this.#state.lastChargeTime + this.#limits.chargingPeriodNanos;
      consider(largest(exhaustion.time, charged));
    }
    this.#dropStaleCalls();
    const call = this.#callDeadlines.peek();
    if (call !== undefined) consider(call.time);
    return next;
  }

  #dropStaleTimers(): void {
    for (;;) {
      const first = this.#timers.peek();
      if (first === undefined || this.#state.canisters.get(first.key)?.globalTimer === first.time) return;
      this.#timers.pop();
    }
  }

  #dropStaleExhaustions(): void {
    for (;;) {
      const first = this.#exhaustions.peek();
      if (first === undefined || this.#exhaustionOf.get(first.key) === first.time) return;
      this.#exhaustions.pop();
    }
  }

  #dropStaleCalls(): void {
    for (;;) {
      const first = this.#callDeadlines.peek();
      if (first === undefined) return;
      const slash = first.key.indexOf('/');
      const caller = this.#state.canisters.get(first.key.slice(0, slash));
      if (caller?.callbacks.has(first.key.slice(slash + 1))) return;
      this.#callDeadlines.pop();
    }
  }
}
