import type { Consensus, ConsensusObserver } from '../consensus/index.ts';
import { ConsensusError, openSolo } from '../consensus/index.ts';
import type { CertifiedState, SubnetPort } from '../gateway/index.ts';
import { createGateway, MetricsRegistry, NodeMetrics } from '../gateway/index.ts';
import { DEFAULT_LIMITS, type Height, type Limits } from '../model/index.ts';
import { describeProcess, nodePlatform, type Platform } from '../platform/index.ts';
import { createReplica } from '../replica/index.ts';
import { createSandbox } from '../sandbox/index.ts';
import { StateDirectory, type SubnetState } from '../state/index.ts';
import { genesisState, selfAuthenticating } from './genesis.ts';
import { NodeError } from './node-error.ts';
import { asNodeError } from './node-error-of.ts';
import { type NodeKey, nodeKeyFromSeed } from './node-key.ts';
import type { NodeOptions, PerdureNode } from './perdure-node.ts';
import type { SubnetSigner } from './subnet-signer.ts';

/** See perdure-node.ts. The signer is taken over: it is stopped with the node, or when the node does not come up. */
export async function openNode(options: NodeOptions, signing: SubnetSigner): Promise<PerdureNode> {
  const opening = new Opening(options, signing);
  try {
    return await opening.run();
  } catch (error) {
    await opening.undo();
    throw asNodeError(error, options);
  }
}

class Opening {
  readonly #options: NodeOptions;
  readonly #platform: Platform;
  readonly #limits: Limits;
  readonly #signing: SubnetSigner;
  /** How to let go of what was opened, last first. */
  readonly #undo: (() => Promise<void> | void)[] = [];
  /** Until the engine takes it over. */
  #directory: StateDirectory | undefined;
  readonly #failure: PromiseWithResolvers<Error> = Promise.withResolvers();

  constructor(options: NodeOptions, signing: SubnetSigner) {
    this.#options = options;
    this.#signing = signing;
    this.#undo.push(() => signing.stop());
    this.#platform = options.platform ?? nodePlatform;
    this.#limits = options.limits ?? DEFAULT_LIMITS;
  }

  async undo(): Promise<void> {
    this.#directory?.close();
    this.#directory = undefined;
    for (const close of this.#undo.splice(0).reverse()) await close();
  }

  async run(): Promise<PerdureNode> {
    const { log, implementationVersion, listen } = this.#options;
    const directory = await this.#openDirectory();
    const seeds = directory ?? { key: () => Promise.resolve(this.#platform.entropy.bytes(32)) };
    const signing = this.#signing;
    signing.use(await seeds.key('subnet'));
    const nodeKey = nodeKeyFromSeed(await seeds.key('node'));

    const metrics = new NodeMetrics(new MetricsRegistry());
    const certified = new CertifiedWaiters();
    let fresh = false;
    // The engine lets go of the directory itself, also when it does not come up.
    this.#directory = undefined;
    const consensus = await openSolo({
      platform: this.#platform,
      directory,
      limits: this.#limits,
      signer: signing,
      genesis: async () => {
        fresh = true;
        return genesisState({
          publicKey: await signing.publicKey(),
          nodePublicKey: nodeKey.publicKey,
          time: this.#platform.clock.now(),
          costSchedule: this.#options.costSchedule ?? 'normal',
          subnetType: this.#options.subnetType ?? 'application',
        });
      },
      createReplica: (state) => {
        checkNodeKey(state, nodeKey);
        const limits = this.#limits;
        return createReplica({
          state,
          limits,
          sandbox: createSandbox({ limits }),
          letOthersRun: () => new Promise((go) => this.#platform.clock.soon(go)),
        });
      },
      observer: this.#observer(metrics, certified),
      onFault: (error) => this.#failure.resolve(asNodeError(error, this.#options)),
    });
    this.#undo.push(() => stopConsensus(consensus));

    const subnet = subnetPort(consensus, nodeKey, certified);
    // An import would read every export, and one of them loads a client for web sockets that nobody wants.
    const { createServer } = process.getBuiltinModule('node:http');
    const gateway = await createGateway({
      subnet,
      limits: this.#limits,
      log,
      metrics,
      implementationVersion,
      http: { createServer },
    });
    this.#undo.push(() => gateway.close());
    // Ready means that calls and reads are answered: there is a certified state.
    const [address] = await Promise.all([
      listen === undefined ? undefined : gateway.listen(listen),
      consensus.refresh(Number.MAX_SAFE_INTEGER),
    ]);
    return {
      url: address === undefined ? undefined : urlOf(address),
      rootKey: subnet.rootKey,
      fresh,
      gateway,
      consensus,
      failed: this.#failure.promise,
      stop: async () => {
        await this.undo();
        log.debug('stopped', { height: consensus.replica.state.height });
      },
    };
  }

  async #openDirectory(): Promise<StateDirectory | undefined> {
    const { stateDir, log } = this.#options;
    if (stateDir === undefined) return undefined;
    const directory = await StateDirectory.open({
      disk: this.#platform.disk,
      entropy: this.#platform.entropy,
      path: stateDir,
      owner: JSON.stringify(describeProcess()),
      pause: () => new Promise<void>((resolve) => this.#platform.clock.soon(resolve)),
      notice: (text) => log.warn(text),
    });
    this.#directory = directory;
    return directory;
  }

  #observer(metrics: NodeMetrics, certified: CertifiedWaiters): ConsensusObserver {
    const { log } = this.#options;
    let lastNoteMs = this.#platform.clock.monotonicMs();
    return {
      round: ({ height, executeMs, outcome }) => {
        metrics.round({
          height,
          seconds: executeMs / 1000,
          instructions: outcome.instructions,
          messages: outcome.executedMessages,
        });
        metrics.stage('execute', executeMs / 1000);
        for (const { canister, text } of outcome.logs) log.info(text, { canister: canister.toText() });
      },
      durable: (height, durableMs) => {
        metrics.durableHeight.set(height);
        metrics.logSyncs.add();
        metrics.stage('fsync', durableMs / 1000);
      },
      certified: (height, signMs) => {
        metrics.stage('certify', signMs / 1000);
        certified.reached(height);
      },
      checkpoint: (height, writeMs) => {
        metrics.checkpoints.add();
        log.debug('checkpoint', { height, ms: Math.round(writeMs) });
      },
      replayed: (done, total) => {
        const nowMs = this.#platform.clock.monotonicMs();
        if (nowMs - lastNoteMs < 1_000 && done < total) return;
        lastNoteMs = nowMs;
        log.info(`executing the log again: ${done} of ${total} rounds`);
      },
      notice: (text) => log.warn(text),
    };
  }
}

/** Those who wait for a certified height without asking for a round. */
class CertifiedWaiters {
  #height: Height = -1;
  #waiting: { readonly height: Height; readonly resolve: () => void }[] = [];

  reached(height: Height): void {
    this.#height = height;
    const ready = this.#waiting.filter((waiter) => waiter.height <= height);
    this.#waiting = this.#waiting.filter((waiter) => waiter.height > height);
    for (const waiter of ready) waiter.resolve();
  }

  wait(height: Height): Promise<void> {
    if (height <= this.#height) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push({ height, resolve });
    });
  }
}

function subnetPort(consensus: Consensus, nodeKey: NodeKey, certified: CertifiedWaiters): SubnetPort {
  const { network } = consensus.replica.state;
  return {
    replica: consensus.replica,
    rootKey: network.rootPublicKey,
    subnetId: network.subnetId,
    nodeId: selfAuthenticating(nodeKey.publicKey),
    signAsNode: (message) => nodeKey.sign(message),
    submit: (ingress) => consensus.submit(ingress),
    certified: () => consensus.certified(),
    refresh: (maxAgeMs) => consensus.refresh(maxAgeMs),
    completion: (requestId, timeoutMs) => consensus.completion(requestId, timeoutMs),
    certifiedSince: async (height): Promise<CertifiedState> => {
      const present = consensus.certified();
      if (present !== undefined && present.height >= height) return present;
      await certified.wait(height);
      // Published right after the observer is told.
      return consensus.certified() ?? consensus.refresh(Number.MAX_SAFE_INTEGER);
    },
    durable: (height) => consensus.durable(height),
    now: () => consensus.now(),
  };
}

/** The state names the node that may answer for it. */
function checkNodeKey(state: SubnetState, nodeKey: NodeKey): void {
  const nodeId = selfAuthenticating(nodeKey.publicKey);
  if (state.network.nodes.some((node) => node.nodeId.equals(nodeId))) return;
  throw new NodeError('state_unreadable', 'the key of this node does not belong to the state', {
    why: `the state was made by ${state.network.nodes.map((node) => node.nodeId.toText()).join(', ')}`,
    fix: 'restore node.key and subnet.key from the copy that the state comes from',
  });
}

async function stopConsensus(consensus: Consensus): Promise<void> {
  try {
    await consensus.stop();
  } catch (error) {
    // What made the engine fail was reported when it happened.
    if (!(error instanceof ConsensusError)) throw error;
  }
}

function urlOf({ host, port }: { readonly host: string; readonly port: number }): string {
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  return `http://${name}:${port}`;
}
