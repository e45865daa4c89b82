/**
 * Executes the input log of a state directory again, apart from any node: in one go, or interrupted in every way that must
 * not matter. What is compared are the state hashes of every height.
 */
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { decodeState, encodeState, toHex } from '../../src/codec/index.ts';
import { type Batch, DEFAULT_LIMITS, type Height, type Principal } from '../../src/model/index.ts';
import { nodePlatform, type Platform, SimulatedPlatform } from '../../src/platform/index.ts';
import { createReplica, type Replica } from '../../src/replica/index.ts';
import { createSandbox, type Sandbox } from '../../src/sandbox/index.ts';
import { StateDirectory, type SubnetState } from '../../src/state/index.ts';

/** Everything that a subnet did since its genesis. */
export interface History {
  /** The state before the first batch; a new one each time. */
  genesis(): SubnetState;
  readonly batches: readonly Batch[];
  /** By height, as the node had them: state hash in hexadecimal; undefined where it was stopped before it knew. */
  readonly hashes: readonly (string | undefined)[];
}

export const GENESIS = '000000000000.checkpoint';

/**
 * Reads the history in a state directory that still has its first checkpoint and the whole log; later checkpoints are not
 * looked at. The directory itself is left alone, it may even be in use.
 */
export async function readHistory(stateDir: string): Promise<History> {
  const copy = mkdtempSync(path.join(tmpdir(), 'perdure-history-'));
  try {
    cpSync(stateDir, copy, { recursive: true, filter: (file) => !path.basename(file).startsWith('lock') });
    for (const name of readdirSync(path.join(copy, 'checkpoints')))
      if (name !== GENESIS) rmSync(path.join(copy, 'checkpoints', name));
    const directory = await openDirectory(nodePlatform, copy);
    try {
      const state = directory.checkpoints.load(unexpected)?.state;
      if (state?.height !== 0) throw new Error(`${stateDir} does not remember its genesis`);
      const bytes = encodeState(state);
      const { log, rounds } = await directory.openLog(0);
      await log.close();
      return {
        genesis: () => decodeState(bytes) as SubnetState,
        batches: rounds.map(({ batch }) => batch),
        hashes: rounds.map(({ outcome }) => (outcome === undefined ? undefined : toHex(outcome.stateHash))),
      };
    } finally {
      directory.close();
    }
  } finally {
    rmSync(copy, { recursive: true });
  }
}

/** The state that a node left behind when it was stopped: height and state hash of its newest checkpoint. */
export async function finalState(stateDir: string): Promise<{ readonly height: Height; readonly hash: string }> {
  const directory = await openDirectory(nodePlatform, stateDir);
  try {
    const state = directory.checkpoints.load(unexpected)?.state;
    if (state === undefined) throw new Error(`${stateDir} holds no state`);
    return { height: state.height, hash: toHex(state.stateHash) };
  } finally {
    directory.close();
  }
}

/** A history that is being executed. */
export class Execution {
  readonly #liveInstances: number;
  #sandbox: Sandbox;
  #replica: Replica;
  #machine: SimulatedPlatform | undefined;
  #directory: StateDirectory | undefined;

  /** `liveInstances`: how many canisters the sandbox keeps ready at most. */
  constructor(genesis: SubnetState, liveInstances = 1000) {
    this.#liveInstances = liveInstances;
    this.#sandbox = createSandbox({ limits: DEFAULT_LIMITS, liveInstances });
    this.#replica = createReplica({ state: genesis, limits: DEFAULT_LIMITS, sandbox: this.#sandbox });
  }

  get replica(): Replica {
    return this.#replica;
  }

  /** Canisters of which a message has used up its slice and is not over. */
  get paused(): number {
    return [...this.#replica.state.canisters.values()].filter(({ paused }) => paused !== undefined).length;
  }

  /** @returns the state hash, hexadecimal */
  async execute(batch: Batch): Promise<string> {
    return toHex((await this.#replica.execute(batch)).stateHash);
  }

  /** Forgets the instances of canisters at rest. */
  evict(which: (id: Principal) => boolean): void {
    for (const canister of this.#replica.state.canisters.values())
      if (canister.paused === undefined && which(canister.id)) this.#sandbox.evict(canister.id);
  }

  /** Writes a checkpoint, forgets everything, and goes on from what was written. */
  async restart(): Promise<void> {
    this.#machine ??= new SimulatedPlatform(1);
    this.#directory ??= await openDirectory(this.#machine, 'state');
    await this.#directory.checkpoints.begin(this.#replica.state).write();
    await this.#replica.close();
    this.#directory.close();
    this.#directory = await openDirectory(this.#machine, 'state');
    const state = this.#directory.checkpoints.load(unexpected)?.state;
    if (state === undefined) throw new Error('the checkpoint is gone');
    this.#sandbox = createSandbox({ limits: DEFAULT_LIMITS, liveInstances: this.#liveInstances });
    this.#replica = createReplica({ state, limits: DEFAULT_LIMITS, sandbox: this.#sandbox });
  }

  async close(): Promise<void> {
    await this.#replica.close();
    this.#directory?.close();
  }
}

/** The state hashes of a history by height; `disturb` is called before each batch. */
export async function replay(
  history: History,
  disturb: (execution: Execution, height: Height) => Promise<void> | void = () => {},
  liveInstances?: number,
): Promise<string[]> {
  const execution = new Execution(history.genesis(), liveInstances);
  const hashes: string[] = [];
  try {
    for (const batch of history.batches) {
      await disturb(execution, batch.height);
      hashes.push(await execution.execute(batch));
    }
  } finally {
    await execution.close();
  }
  return hashes;
}

/** The first height at which two lists of state hashes differ; what is unknown differs from nothing. */
export function firstDifference(
  a: readonly (string | undefined)[],
  b: readonly (string | undefined)[],
): Height | undefined {
  const index = Array.from({ length: Math.max(a.length, b.length) }).findIndex(
    (_, at) => at >= a.length || at >= b.length || (a[at] !== undefined && b[at] !== undefined && a[at] !== b[at]),
  );
  return index < 0 ? undefined : index + 1;
}

function openDirectory(platform: Platform, folder: string): Promise<StateDirectory> {
  return StateDirectory.open({
    disk: platform.disk,
    entropy: platform.entropy,
    path: folder,
    owner: '{}',
    pause: () => new Promise((resolve) => platform.clock.soon(resolve)),
    notice: () => {},
  });
}

function unexpected(text: string): void {
  throw new Error(text);
}
