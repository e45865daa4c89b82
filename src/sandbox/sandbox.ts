import { DEFAULT_LIMITS, type Limits, PAGE_BYTES, type PageStore, type Principal } from '../model/index.ts';
import { v8Flags } from '../wasm/index.ts';
import {
  type CanisterImage,
  type EntryPoint,
  type ExecutionEnvironment,
  HostFault,
  type PreparedModule,
  type QuerySession,
  type Sandbox,
  type Step,
} from './contract.ts';
import { HeapPool } from './heap.ts';
import { ImageView } from './image-view.ts';
import { Lane } from './lane.ts';
import { type CommittedImage, LiveInstance } from './live-instance.ts';
import { Message, type MessageHome } from './message.ts';
import { type LoadedModule, ModuleCache } from './module-cache.ts';

export interface SandboxOptions {
  readonly limits?: Limits;
  /** Instances kept ready to run; V8 reserves 8 GiB of address space for each (16 GiB with 64-bit addresses). */
  readonly liveInstances?: number;
  /** Bytes that the heaps of ready instances may take up together. */
  readonly liveHeapBytes?: number;
}

const LIVE_INSTANCES = 1_000;
const LIVE_HEAP_BYTES = 1 << 30;
const POOLED_HEAPS = 64;
const PREPARED_MODULES = 256;

/**
 * Runs messages on this thread. Sets the flags of V8 that make suspendable stacks as large as the stack limit needs: they
 * count for stacks made from then on, so a process should have one stack limit.
 */
export function createSandbox(options: SandboxOptions = {}): Sandbox {
  const limits = options.limits ?? DEFAULT_LIMITS;
  for (const flag of v8Flags(limits.stackBytes)) engine?.setFlagsFromString(flag);
  return new ThreadSandbox(limits, options.liveInstances ?? LIVE_INSTANCES, options.liveHeapBytes ?? LIVE_HEAP_BYTES);
}

/** The host's access to V8, found without an import so that the module also loads where there is none. */
const engine = globalThis.process?.getBuiltinModule?.('node:v8') as
  | { setFlagsFromString(flag: string): void }
  | undefined;

class ThreadSandbox implements Sandbox {
  readonly lane: Lane = new Lane();
  readonly #pool = new HeapPool(POOLED_HEAPS);
  readonly #limits: Limits;
  readonly #modules: ModuleCache;
  readonly #capacity: number;
  readonly #heapPages: number;
  /** By canister: the instance that equals the canister's committed image. */
  readonly #live: Map<string, LiveInstance> = new Map();
  /** By canister: views of its committed image that are open. */
  readonly #views: Map<string, Set<ImageView>> = new Map();
  #clock = 0;

  constructor(limits: Limits, capacity: number, heapBytes: number) {
    this.#limits = limits;
    this.#capacity = capacity;
    this.#heapPages = heapBytes / PAGE_BYTES;
    this.#modules = new ModuleCache(limits, PREPARED_MODULES);
  }

  prepare(uploaded: Uint8Array): PreparedModule {
    return this.#modules.prepare(uploaded);
  }

  async execute(
    image: CanisterImage,
    entry: EntryPoint,
    environment: ExecutionEnvironment,
    sliceInstructions: bigint,
  ): Promise<Step> {
    if (!this.lane.tryEnter()) await this.lane.enter();
    let message: Message;
    try {
      message = new Message(new ReplicatedHome(this, image, entry, environment), entry, environment);
    } catch (error) {
      this.lane.leave();
      throw error;
    }
    return message.run(Number(sliceInstructions));
  }

  openQuery(image: CanisterImage): QuerySession {
    const { key } = image.id;
    const view = new ImageView(
      {
        lane: this.lane,
        borrow: (environment) => this.#ready(image) ?? this.#readyAgain(image, environment),
        create: (content, environment) => this.#create(image, content, environment, false),
        putBack: (live) => this.putBack(key, live),
        closed: () => {
          const views = this.#views.get(key);
          views?.delete(view);
          if (views?.size === 0) this.#views.delete(key);
        },
      },
      image,
    );
    const views = this.#views.get(key);
    if (views === undefined) this.#views.set(key, new Set([view]));
    else views.add(view);
    return view;
  }

  evict(canisterId: Principal): void {
    const { key } = canisterId;
    this.detachViews(key);
    const live = this.#live.get(key);
    this.#live.delete(key);
    if (live !== undefined && live.holder === undefined) this.#pool.give(live.heapMemory);
  }

  /** The instance for a message: the canister's ready one, but for an installation, which begins on a new one. */
  obtain(image: CanisterImage, entry: EntryPoint, environment: ExecutionEnvironment): LiveInstance {
    if (entry.kind !== 'install') return this.#ready(image) ?? this.#makeReady(image, environment);
    const heap = entry.heapKept ? image.heap : NO_PAGES;
    return this.#create(image, { heap, stable: image.stable, wasmState: undefined }, environment, !entry.heapKept);
  }

  /** The image was written from an instance, which is the canister's ready one from now on. */
  committed(image: CanisterImage, live: LiveInstance): void {
    live.heapStore = image.heap;
    live.stableStore = image.stable;
    const { key } = image.id;
    if (this.#live.get(key) !== live) this.#keep(key, live);
  }

  /** The canister's instance when it equals the image and nobody has it. */
  #ready(image: CanisterImage): LiveInstance | undefined {
    const live = this.#live.get(image.id.key);
    if (
      live === undefined ||
      live.holder !== undefined ||
      live.generation !== image.generation ||
      live.module.hash !== image.module.hash ||
      live.heapStore !== image.heap ||
      live.stableStore !== image.stable
    ) {
      return undefined;
    }
    live.lastUsed = ++this.#clock;
    return live;
  }

  #makeReady(image: CanisterImage, environment: ExecutionEnvironment): LiveInstance {
    const { key } = image.id;
    const present = this.#live.get(key);
    if (present?.holder !== undefined && present.view === undefined && present.heapStore === image.heap) {
      throw new Error(`canister ${image.id.toText()} runs another message`);
    }
    // A query that has it keeps it.
    present?.view?.detach();
    const live = this.#create(image, image, environment, false);
    this.#keep(key, live);
    return live;
  }

  /** For a query, unless a message has the instance: the next query, and the next update, need it too. */
  #readyAgain(image: CanisterImage, environment: ExecutionEnvironment): LiveInstance | undefined {
    if (this.#live.get(image.id.key)?.holder !== undefined) return undefined;
    return this.#makeReady(image, environment);
  }

  #create(
    image: CanisterImage,
    content: CommittedImage,
    environment: ExecutionEnvironment,
    applyData: boolean,
  ): LiveInstance {
    try {
      return new LiveInstance({
        canisterId: image.id,
        module: this.#loaded(image.module),
        generation: image.generation,
        limits: this.#limits,
        lane: this.lane,
        pool: this.#pool,
        image: content,
        environment,
        applyData,
      });
    } catch (cause) {
      this.lane.map.clear();
      // What the validator accepts can be instantiated; if not, the host decides over the canister, which it may not.
      throw new HostFault(`canister ${image.id.toText()} could not be instantiated`, { cause });
    }
  }

  #loaded(module: PreparedModule): LoadedModule {
    if ('compiled' in module) return module as LoadedModule;
    throw new Error(`module ${module.hash} was not prepared by this sandbox`);
  }

  /** Makes an instance the canister's ready one. */
  #keep(key: string, live: LiveInstance): void {
    const before = this.#live.get(key);
    this.#live.set(key, live);
    live.lastUsed = ++this.#clock;
    if (before !== undefined && before.holder === undefined) this.#pool.give(before.heapMemory);
    let pages = 0;
    for (const { heapMemory } of this.#live.values()) pages += heapMemory.residentPages;
    while (this.#live.size > this.#capacity || pages > this.#heapPages) {
      const freed = this.#letGoOfOldest();
      if (freed === undefined) break;
      pages -= freed;
    }
  }

  /** Returns the pages of the heap that is ready no more; undefined when all that are left are in use. */
  #letGoOfOldest(): number | undefined {
    let oldest: [string, LiveInstance] | undefined;
    for (const entry of this.#live) {
      const [, live] = entry;
      if (live.holder === undefined && live.lastUsed < (oldest?.[1].lastUsed ?? this.#clock)) oldest = entry;
    }
    if (oldest === undefined) return undefined;
    const [key, { heapMemory }] = oldest;
    const pages = heapMemory.residentPages;
    this.#live.delete(key);
    this.#pool.give(heapMemory);
    return pages;
  }

  /** An instance that nobody has any more: it stays when it is the canister's ready one and still equals its image. */
  putBack(key: string, live: LiveInstance): void {
    const ready = this.#live.get(key) === live;
    if (ready && !live.spoiled) return;
    if (ready) this.#live.delete(key);
    if (!live.untraced) this.#pool.give(live.heapMemory);
  }

  /** Something else than what the open views of a canister show is about to be committed. */
  detachViews(key: string): void {
    const views = this.#views.get(key);
    if (views === undefined) return;
    for (const view of views) view.detach();
  }
}

/** Where a replicated message runs: on the canister's own image. */
class ReplicatedHome implements MessageHome {
  readonly lane: Lane;
  readonly #sandbox: ThreadSandbox;
  readonly #image: CanisterImage;
  readonly #entry: EntryPoint;
  readonly #environment: ExecutionEnvironment;

  constructor(sandbox: ThreadSandbox, image: CanisterImage, entry: EntryPoint, environment: ExecutionEnvironment) {
    this.lane = sandbox.lane;
    this.#sandbox = sandbox;
    this.#image = image;
    this.#entry = entry;
    this.#environment = environment;
  }

  obtain(): LiveInstance {
    return this.#sandbox.obtain(this.#image, this.#entry, this.#environment);
  }

  image(): CommittedImage {
    return this.#image;
  }

  release(live: LiveInstance): void {
    this.#sandbox.putBack(this.#image.id.key, live);
  }

  beforeCommit(): void {
    this.#sandbox.detachViews(this.#image.id.key);
  }

  committed(live: LiveInstance): void {
    this.#sandbox.committed(this.#image, live);
  }
}

/** A store without content. */
const NO_PAGES: PageStore = {
  wasmPages: 0,
  view: () => undefined,
  write: () => {
    throw new Error('an empty store is not written');
  },
  resize: () => {},
  pages: () => [],
  fork: () => NO_PAGES,
};
