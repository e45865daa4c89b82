import type { FeeContext, Limits, Principal } from '../model/index.ts';
import type { PreparedModule, Sandbox } from '../sandbox/index.ts';
import type { CallResponse, CanisterState, Origin, SubnetState } from '../state/index.ts';
import type { Agenda } from './agenda.ts';
import { feesOf } from './resources.ts';

/** Pages of a canister that a round changed, for the round digest. */
export interface PageChanges {
  heap: Set<number> | 'all';
  stable: Set<number> | 'all';
}

/** A message on its way between two canisters of the subnet, until the next induction. */
export type Delivery =
  | {
      readonly kind: 'request';
      readonly origin: Extract<Origin, { kind: 'canister' }>;
      readonly callee: Principal;
      readonly method: string;
      readonly arg: Uint8Array;
      readonly cycles: bigint;
    }
  | {
      readonly kind: 'response';
      readonly originator: Principal;
      readonly callbackId: bigint;
      readonly response: CallResponse;
      readonly refund: bigint;
    };

/** What one round works with and what it leaves behind besides the state. */
export class Round {
  readonly state: SubnetState;
  readonly limits: Limits;
  readonly sandbox: Sandbox;
  readonly agenda: Agenda;
  readonly fees: FeeContext;
  readonly moduleOf: (canister: CanisterState) => PreparedModule | undefined;
  readonly changed: Map<string, PageChanges> = new Map();
  readonly changedIngress: Set<string> = new Set();
  readonly completed: string[] = [];
  readonly logs: { readonly canister: Principal; readonly text: string }[] = [];
  outbox: Delivery[] = [];
  /** Canisters with a paused message for whose end a management call waits. */
  readonly heldBack: Set<string> = new Set();
  instructions = 0n;
  executedMessages = 0;

  constructor(parts: {
    readonly state: SubnetState;
    readonly limits: Limits;
    readonly sandbox: Sandbox;
    readonly agenda: Agenda;
    readonly moduleOf: (canister: CanisterState) => PreparedModule | undefined;
  }) {
    this.state = parts.state;
    this.limits = parts.limits;
    this.sandbox = parts.sandbox;
    this.agenda = parts.agenda;
    this.moduleOf = parts.moduleOf;
    this.fees = feesOf(parts.state);
  }

  newId(): bigint {
    const id = this.state.nextId;
    this.state.nextId = id + 1n;
    return id;
  }

  /** Remembers that a canister changed, and which of its pages. */
  touch(key: string): PageChanges {
    let changes = this.changed.get(key);
    if (changes === undefined) {
      changes = { heap: new Set(), stable: new Set() };
      this.changed.set(key, changes);
    }
    return changes;
  }

  touchPages(key: string, heap: readonly number[], stable: readonly number[]): void {
    const changes = this.touch(key);
    if (changes.heap !== 'all') for (const page of heap) changes.heap.add(page);
    if (changes.stable !== 'all') for (const page of stable) changes.stable.add(page);
  }

  touchAllPages(key: string): void {
    const changes = this.touch(key);
    changes.heap = 'all';
    changes.stable = 'all';
  }

  burn(cycles: bigint): void {
    this.state.cyclesBurned += cycles;
  }
}
