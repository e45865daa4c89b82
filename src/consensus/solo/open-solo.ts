import { equalBytes } from '../../codec/index.ts';
import { type Limits, PROTOCOL_VERSION } from '../../model/index.ts';
import type { Platform } from '../../platform/index.ts';
import type { Replica } from '../../replica/index.ts';
import {
  asStateError,
  type LoggedRound,
  type Outcome,
  type StateDirectory,
  StateError,
  type SubnetState,
} from '../../state/index.ts';
import type { Consensus, ConsensusObserver, Signer } from '../contract.ts';
import { hostFault, Solo, type SoloStore } from './solo.ts';

export interface SoloOptions {
  readonly platform: Pick<Platform, 'clock' | 'entropy'>;
  /** Where the state lives; absent for a network that is forgotten with the process. Closed by `stop`. */
  readonly directory?: StateDirectory | undefined;
  readonly limits: Limits;
  /** The state to begin with when the directory has none. */
  readonly genesis: () => SubnetState | Promise<SubnetState>;
  readonly createReplica: (state: SubnetState) => Replica | Promise<Replica>;
  readonly signer: Signer;
  readonly observer?: ConsensusObserver;
  /**
   * Least time between checkpoints that are due by the number of rounds (`limits.checkpointRounds`): a node that runs
   * thousands of rounds a second should not write its state several times in each. The log's length bounds it.
   */
  readonly checkpointSpacingMs?: number;
  /** Called at most once, when the engine cannot go on: the node should say why and end. */
  readonly onFault: (error: Error) => void;
}

const CHECKPOINT_SPACING_MS = 2_000;

/**
 * Opens the state, executes again what the log holds above the newest checkpoint, and starts the engine.
 * @throws StateError when the directory cannot be used as it is; ConsensusError `host_fault`
 */
export async function openSolo(options: SoloOptions): Promise<Consensus> {
  const { directory, limits, platform, signer, onFault } = options;
  const observer = options.observer ?? {};
  try {
    const loaded = directory?.checkpoints.load((text) => observer.notice?.(text));
    const state = loaded?.state ?? (await options.genesis());
    const replica = await options.createReplica(state);
    let store: SoloStore | undefined;
    if (directory !== undefined) {
      // The state that everything follows from is on disk before anything follows.
      if (loaded === undefined) await directory.checkpoints.begin(state).write();
      const { log, rounds, tornBytes } = await directory.openLog(state.height);
      if (tornBytes > 0)
        observer.notice?.(`The log ended in ${tornBytes} bytes that were never acknowledged; they were cut off.`);
      const unfinished = await replay(replica, rounds, observer);
      if (unfinished !== undefined) log.appendOutcome(unfinished);
      store = { directory, log };
    }
    const checkpointSpacingMs = options.checkpointSpacingMs ?? CHECKPOINT_SPACING_MS;
    return new Solo({ platform, limits, replica, signer, observer, store, checkpointSpacingMs, onFault });
  } catch (error) {
    directory?.close();
    throw asStateError(error);
  }
}

/** @returns the outcome of the last batch when the log lacks it */
async function replay(
  replica: Replica,
  rounds: readonly LoggedRound[],
  observer: ConsensusObserver,
): Promise<Outcome | undefined> {
  let unfinished: Outcome | undefined;
  for (const [done, { batch, outcome: logged, place }] of rounds.entries()) {
    const { height, protocolVersion } = batch;
    if (protocolVersion !== PROTOCOL_VERSION)
      throw new StateError(
        'wrong_version',
        place,
        `${place}: the batch of height ${height} has protocol version ${protocolVersion}; this release executes version ${PROTOCOL_VERSION}. Start once with the release that wrote it and stop it cleanly`,
        { height },
      );
    let outcome: Outcome;
    try {
      outcome = await replica.execute(batch);
    } catch (error) {
      throw hostFault(height, error);
    }
    if (logged === undefined)
      unfinished = { height, stateHash: outcome.stateHash, canisterDigests: outcome.canisterDigests };
    else if (!equalBytes(logged.stateHash, outcome.stateHash)) throw diverged(place, logged, outcome);
    observer.replayed?.(done + 1, rounds.length);
  }
  return unfinished;
}

function diverged(place: string, logged: Outcome, now: Outcome): StateError {
  const before = new Map(logged.canisterDigests);
  const after = new Map(now.canisterDigests);
  const different: string[] = [];
  for (const canister of new Set([...before.keys(), ...after.keys()])) {
    const then = before.get(canister);
    const digest = after.get(canister);
    if (then === undefined || digest === undefined || !equalBytes(then, digest)) different.push(canister);
  }
  different.sort();
  const where = different.length === 0 ? 'outside the canisters' : `in canister ${different.join(', ')} (hexadecimal)`;
  return new StateError(
    'diverged',
    place,
    `${place}: executing height ${logged.height} again gave another state than before, ${where}. Nothing was changed. Use the release that wrote the log; if it is the same one, the machine computes wrongly or the release is not deterministic: please report it with the log`,
    { height: logged.height },
  );
}
