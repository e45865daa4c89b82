import { type LabelledTree, stateRootPayload } from '../../certification/index.ts';
import { fromHex, toHex, utf8 } from '../../codec/index.ts';
import {
  type Batch,
  type Height,
  type Ingress,
  type Limits,
  type OperatorDecision,
  PROTOCOL_VERSION,
  type Time,
} from '../../model/index.ts';
import type { Platform, Timer } from '../../platform/index.ts';
import type { Replica } from '../../replica/index.ts';
import { asStateError, type InputLog, type StateDirectory } from '../../state/index.ts';
import {
  type CertifiedState,
  type Consensus,
  ConsensusError,
  type ConsensusObserver,
  type Signer,
} from '../contract.ts';
import { IngressPool } from './ingress-pool.ts';
import { HeightWaiters, NamedWaiters } from './waiting-room.ts';

export interface SoloParts {
  readonly platform: Pick<Platform, 'clock' | 'entropy'>;
  readonly limits: Limits;
  readonly replica: Replica;
  readonly signer: Signer;
  readonly observer: ConsensusObserver;
  /** Absent: nothing is written. */
  readonly store: SoloStore | undefined;
  readonly checkpointSpacingMs: number;
  /** Called once when the engine cannot go on. */
  readonly onFault: (error: Error) => void;
}

export interface SoloStore {
  readonly directory: StateDirectory;
  readonly log: InputLog;
}

/** An executed round that may be certified. */
interface Executed {
  readonly height: Height;
  readonly time: Time;
  readonly tree: LabelledTree;
}

/** Rounds that may be executed ahead of the disk: enough to keep both busy, few enough to lose none of the latency. */
const ROUNDS_AHEAD = 2;
/** Least distance of rounds that only repeat what the last one left due. */
const STALE_DEADLINE_NANOS = 10_000_000n;
/** Freezing the state stops the rounds for a while that grows with the state: this many times longer they go on then. */
const CHECKPOINT_REST = 50;

/** See index.ts. Made by `openSolo`. */
export class Solo implements Consensus {
  readonly replica: Replica;
  readonly #parts: SoloParts;
  readonly #pool: IngressPool;
  #decisions: OperatorDecision[] = [];
  #tickWanted = false;
  #loop: Promise<void> | undefined;
  #timer: Timer | undefined;
  #stopped: Promise<void> | undefined;
  #failure: Error | undefined;
  /** Height of the last round that has begun. */
  #begun: Height;
  #executed: Executed;
  #durableHeight: Height;
  #certified: CertifiedState | undefined;
  #signing = false;
  /** Height at which a request was completed, until that height is certified. */
  readonly #completed: Map<string, Height> = new Map();
  readonly #durableWaiters: HeightWaiters<void> = new HeightWaiters();
  readonly #certifiedWaiters: HeightWaiters<CertifiedState> = new HeightWaiters();
  readonly #completionWaiters: NamedWaiters<CertifiedState>;
  #checkpointHeight: Height;
  #checkpointBytes: number;
  /** Monotonic time of the last checkpoint. The first one need not wait: the log may be long already. */
  #checkpointMs: number = Number.NEGATIVE_INFINITY;
  /** How long the last checkpoint stopped the rounds. */
  #freezeMs = 0;
  #checkpoint: Promise<void> | undefined;

  constructor(parts: SoloParts) {
    this.#parts = parts;
    this.replica = parts.replica;
    this.#pool = new IngressPool(parts.limits);
    this.#completionWaiters = new NamedWaiters(parts.platform.clock);
    const { height, time } = parts.replica.state;
    this.#executed = { height, time, tree: parts.replica.tree };
    this.#begun = height;
    this.#durableHeight = height;
    this.#checkpointHeight = parts.store?.directory.checkpoints.newestHeight ?? height;
    this.#checkpointBytes = 0;
    this.#certify();
    this.wake();
  }

  submit(ingress: Ingress): boolean {
    if (this.#ended()) return false;
    const requestId = toHex(ingress.requestId);
    if (this.#completed.has(requestId) || this.replica.state.ingressHistory.has(requestId)) return true;
    if (!this.#pool.add(ingress)) return false;
    this.wake();
    return true;
  }

  decide(decision: OperatorDecision): Promise<CertifiedState> {
    if (this.#ended()) return Promise.reject(this.#reason());
    this.#decisions.push(decision);
    return this.tick();
  }

  tick(): Promise<CertifiedState> {
    if (this.#ended()) return Promise.reject(this.#reason());
    this.#tickWanted = true;
    this.wake();
    // A round under way was begun before this call: the one after it counts.
    return this.#certifiedWaiters.wait(this.#begun + 1);
  }

  certified(): CertifiedState | undefined {
    return this.#certified;
  }

  refresh(maxAgeMs: number): Promise<CertifiedState> {
    const oldest = this.now() - BigInt(Math.round(maxAgeMs * 1e6));
    if (this.#certified !== undefined && this.#certified.time >= oldest) return Promise.resolve(this.#certified);
    if (this.#ended()) return Promise.reject(this.#reason());
    if (this.#executed.time >= oldest) return this.#certifiedWaiters.wait(this.#executed.height);
    return this.tick();
  }

  completion(requestId: string, timeoutMs: number): Promise<CertifiedState | undefined> {
    if (this.#ended()) return Promise.reject(this.#reason());
    const certified = this.#certified;
    if (certified !== undefined) {
      if (!this.#pool.has(requestId) && isCompleted(certified.tree, requestId)) return Promise.resolve(certified);
    } else {
      // Completed before the state was opened: the first certificate to come covers it.
      const status = this.replica.state.ingressHistory.get(requestId)?.status.status;
      if (status !== undefined && status !== 'received' && status !== 'processing' && !this.#completed.has(requestId))
        this.#completed.set(requestId, this.#begun);
    }
    return this.#completionWaiters.wait(requestId, timeoutMs);
  }

  certifiedSince(height: Height): Promise<CertifiedState> {
    if (this.#certified !== undefined && this.#certified.height >= height) return Promise.resolve(this.#certified);
    if (this.#ended()) return Promise.reject(this.#reason());
    return this.#certifiedWaiters.wait(height);
  }

  durable(height: Height): Promise<void> {
    if (height <= this.#durableHeight) return Promise.resolve();
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return this.#durableWaiters.wait(height);
  }

  now(): Time {
    return this.#parts.platform.clock.now();
  }

  wake(): void {
    if (this.#loop !== undefined || this.#ended()) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#loop = this.#turn().then(() => this.#run());
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  #ended(): boolean {
    return this.#failure !== undefined || this.#stopped !== undefined;
  }

  #reason(): Error {
    return this.#failure ?? new ConsensusError('stopped', 'the node is stopping');
  }

  async #run(): Promise<void> {
    try {
      while (!this.#ended() && this.#workWaits()) {
        await this.#round();
        await this.#turn();
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#loop = undefined;
      this.#watchDeadline();
    }
  }

  /** Lets in what has arrived: it shares the next round. */
  #turn(): Promise<void> {
    return new Promise((done) => this.#parts.platform.clock.soon(done));
  }

  #workWaits(): boolean {
    if (this.#pool.size > 0 || this.#tickWanted || this.replica.busy) return true;
    const due = this.#nextDue();
    return due !== undefined && due <= this.now();
  }

  /** When a round is due although nothing arrives. */
  #nextDue(): Time | undefined {
    const deadline = this.replica.nextDeadline();
    if (deadline === undefined) return undefined;
    const { time } = this.#executed;
    // The last round has seen this deadline and did not settle it: not again at once.
    return deadline > time ? deadline : time + STALE_DEADLINE_NANOS;
  }

  #watchDeadline(): void {
    if (this.#ended() || this.#loop !== undefined) return;
    if (this.#workWaits()) {
      this.wake();
      return;
    }
    const due = this.#nextDue();
    if (due === undefined) return;
    this.#timer?.cancel();
    const delayMs = Number((due - this.now() + 999_999n) / 1_000_000n);
    // The machine's clock may step: look again now and then.
    this.#timer = this.#parts.platform.clock.after(Math.min(delayMs, 60_000), () => {
      this.#timer = undefined;
      this.wake();
    });
  }

  async #round(): Promise<void> {
    const { observer, platform, store } = this.#parts;
    const { clock } = platform;
    if (this.#executed.height - this.#durableHeight >= ROUNDS_AHEAD)
      await this.durable(this.#executed.height - ROUNDS_AHEAD + 1);
    const batch = this.#nextBatch();
    const { height } = batch;
    this.#begun = height;
    if (store === undefined) this.#becameDurable(height);
    else {
      store.log.appendBatch(batch);
      const written = clock.monotonicMs();
      // Runs beside the execution; its failure ends the engine wherever that is by then.
      store.log
        .sync()
        .then(() => {
          this.#becameDurable(height);
          observer.durable?.(height, clock.monotonicMs() - written);
        })
        .catch((error: unknown) => this.#fail(error));
    }
    const started = clock.monotonicMs();
    let outcome: Awaited<ReturnType<Replica['execute']>>;
    try {
      outcome = await this.replica.execute(batch);
    } catch (error) {
      throw hostFault(height, error);
    }
    const executeMs = clock.monotonicMs() - started;
    store?.log.appendOutcome({ height, stateHash: outcome.stateHash, canisterDigests: outcome.canisterDigests });
    for (const requestId of outcome.completed) this.#completed.set(requestId, height);
    this.#executed = { height, time: batch.time, tree: this.replica.tree };
    observer.round?.({ height, ingress: batch.ingress.length, executeMs, outcome });
    this.#certify();
    if (batch.checkpoint) await this.#beginCheckpoint();
    else if (store?.log.full === true) await store.log.rotate();
  }

  #nextBatch(): Batch {
    const { platform } = this.#parts;
    const { state } = this.replica;
    const last = this.#executed.time;
    const now = platform.clock.now();
    const time = now > last ? now : last + 1n;
    const ingress = this.#pool.take(time, (requestId) => state.ingressHistory.has(requestId));
    const operatorDecisions = this.#decisions;
    this.#decisions = [];
    this.#tickWanted = false;
    return {
      height: this.#executed.height + 1,
      protocolVersion: PROTOCOL_VERSION,
      registryVersion: state.registryVersion,
      time,
      randomness: platform.entropy.bytes(32),
      checkpoint: this.#checkpointDue(),
      ingress,
      operatorDecisions,
    };
  }

  #checkpointDue(): boolean {
    const { store, limits, platform, checkpointSpacingMs } = this.#parts;
    if (this.#checkpoint !== undefined) return false;
    const spacingMs = Math.max(checkpointSpacingMs, CHECKPOINT_REST * this.#freezeMs);
    const spaced = platform.clock.monotonicMs() - this.#checkpointMs >= spacingMs;
    if (spaced && this.#executed.height + 1 - this.#checkpointHeight >= limits.checkpointRounds) return true;
    return store !== undefined && store.log.bytes - this.#checkpointBytes >= limits.checkpointLogBytes;
  }

  /** Freezes the state between two rounds; writing it goes on beside the next ones. */
  async #beginCheckpoint(): Promise<void> {
    const { store, observer, platform } = this.#parts;
    this.#checkpointHeight = this.#executed.height;
    this.#checkpointMs = platform.clock.monotonicMs();
    if (store === undefined) return;
    await this.#checkpoint;
    const started = platform.clock.monotonicMs();
    await store.log.rotate();
    const { checkpoints } = store.directory;
    const freezing = platform.clock.monotonicMs();
    const pending = checkpoints.begin(this.replica.state);
    this.#freezeMs = platform.clock.monotonicMs() - freezing;
    this.#checkpointBytes = store.log.bytes;
    this.#checkpoint = pending
      .write()
      .then(() => {
        this.#checkpoint = undefined;
        const before = store.log.bytes;
        store.log.cut(checkpoints.oldestHeight ?? 0);
        this.#checkpointBytes -= before - store.log.bytes;
        observer.checkpoint?.(pending.height, platform.clock.monotonicMs() - started);
      })
      .catch((error: unknown) => this.#fail(error));
  }

  #becameDurable(height: Height): void {
    if (height <= this.#durableHeight || this.#failure !== undefined) return;
    this.#durableHeight = height;
    this.#durableWaiters.reached(height, undefined);
  }

  /** Signs the newest executed state, unless a signature is under way: that one is followed by the newest then. */
  #certify(): void {
    if (this.#signing || this.#failure !== undefined) return;
    const { height, time, tree } = this.#executed;
    if (this.#certified !== undefined && this.#certified.height >= height) return;
    this.#signing = true;
    const { signer, observer, platform } = this.#parts;
    const started = platform.clock.monotonicMs();
    const publish = async (): Promise<void> => {
      let signature: Uint8Array;
      try {
        signature = await signer.sign(stateRootPayload(tree.rootHash));
      } catch (error) {
        throw new ConsensusError('signing_failed', `height ${height} could not be signed: ${textOf(error)}`, {
          cause: error,
        });
      }
      const signMs = platform.clock.monotonicMs() - started;
      await this.durable(height);
      if (this.#failure !== undefined) return;
      const certified: CertifiedState = { height, time, tree, signature };
      this.#certified = certified;
      this.#signing = false;
      observer.certified?.(height, signMs);
      this.#certifiedWaiters.reached(height, certified);
      for (const [requestId, at] of this.#completed) {
        if (at > height) continue;
        this.#completed.delete(requestId);
        this.#completionWaiters.reached(requestId, certified);
      }
      this.#certify();
    };
    publish().catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    const reason = asStateError(error);
    const failure = reason instanceof Error ? reason : new Error(String(reason));
    this.#failure = failure;
    this.#release(failure);
    this.#parts.onFault(failure);
  }

  #release(reason: Error): void {
    this.#timer?.cancel();
    this.#pool.clear();
    this.#durableWaiters.fail(reason);
    this.#certifiedWaiters.fail(reason);
    this.#completionWaiters.fail(reason);
  }

  async #stop(): Promise<void> {
    const { store } = this.#parts;
    await this.#loop;
    try {
      // Whoever waits for the last rounds gets the answer still.
      if (this.#failure === undefined && this.#signing) await this.#certifiedWaiters.wait(this.#executed.height);
      if (store !== undefined && this.#failure === undefined) {
        await this.#checkpoint;
        await store.log.sync();
        if (store.directory.checkpoints.newestHeight !== this.#executed.height) {
          await this.#beginCheckpoint();
          await this.#checkpoint;
        }
        await store.log.close();
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#release(this.#reason());
      await this.replica.close();
      store?.directory.close();
    }
    if (this.#failure !== undefined) throw this.#failure;
  }
}

export function hostFault(height: Height, error: unknown): ConsensusError {
  return new ConsensusError('host_fault', `the batch of height ${height} could not be executed: ${textOf(error)}`, {
    cause: error,
  });
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const REQUEST_STATUS = utf8('request_status');
const STATUS = utf8('status');

/** Whether the state says how the request ended (interface spec, "Request status"). */
function isCompleted(tree: LabelledTree, requestId: string): boolean {
  const status = tree.get([REQUEST_STATUS, fromHex(requestId), STATUS]);
  if (status === undefined) return false;
  const text = new TextDecoder().decode(status);
  return text === 'replied' || text === 'rejected' || text === 'done';
}
