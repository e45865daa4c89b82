import type { EntryPoint, ExecutionEnvironment, QuerySession, Step } from './contract.ts';
import type { CommittedImage, LiveInstance } from './live-instance.ts';
import { Message, type MessageHome } from './message.ts';

/** What a view needs of the sandbox that opened it. */
export interface ViewHost {
  readonly lane: MessageHome['lane'];
  /** The canister's ready instance, made when there is none that equals the image; undefined when somebody has it. */
  borrow(environment: ExecutionEnvironment): LiveInstance | undefined;
  /** An instance of the view's own. */
  create(image: CommittedImage, environment: ExecutionEnvironment): LiveInstance;
  /** Takes back an instance; one that is not the canister's ready one goes to the heap pool. */
  putBack(live: LiveInstance): void;
  closed(): void;
}

/**
 * The committed image of a canister as it was when the view was opened, for queries. It runs on the canister's ready
 * instance and rolls it back; where that cannot be, on an instance of its own.
 *
 * As long as nothing is committed, the image itself is read. Before anything is, the view *detaches*: it goes on with
 * copy-on-write forks of the stores and keeps the instance that it has at that moment for itself. The entries of a
 * composite query see each other's changes: they are committed to the forks.
 */
export class ImageView implements QuerySession {
  readonly #host: ViewHost;
  /** The canister's own stores, as long as they are the view's content. */
  readonly #original: CommittedImage;
  #image: CommittedImage;
  /** True once something else was committed: the original is no longer what this view shows. */
  #detached = false;
  /** True once a composite query committed to the forks: no other instance equals them. */
  #diverged = false;
  #live: LiveInstance | undefined;
  /** Pages of the borrowed heap that hold changes of a composite query. */
  readonly #changed: Set<number> = new Set();
  #closed = false;

  constructor(host: ViewHost, image: CommittedImage) {
    this.#host = host;
    this.#original = image;
    this.#image = image;
  }

  async execute(entry: EntryPoint, environment: ExecutionEnvironment, sliceInstructions: bigint): Promise<Step> {
    if (this.#closed) throw new Error('the query session is closed');
    const { lane } = this.#host;
    if (!lane.tryEnter()) await lane.enter();
    const composite = entry.kind === 'composite_query' || ('composite' in entry && entry.composite);
    let message: Message;
    try {
      if (composite) this.#fork();
      message = new Message(this.#home(environment, composite), entry, environment, composite);
    } catch (error) {
      lane.leave();
      throw error;
    }
    return message.run(Number(sliceInstructions));
  }

  #home(environment: ExecutionEnvironment, composite: boolean): MessageHome {
    const { lane } = this.#host;
    return {
      lane,
      obtain: () => this.#obtain(environment),
      image: () => this.#image,
      beforeCommit: () => {},
      committed: (live, heapPages) => {
        this.#image = { ...this.#image, wasmState: live.committed };
        this.#diverged = true;
        for (const page of heapPages) this.#changed.add(page);
      },
      release: (live) => {
        if (live.spoiled || !composite || this.#closed) this.#letGo(live);
        else live.holder = this;
      },
    };
  }

  #obtain(environment: ExecutionEnvironment): LiveInstance {
    if (this.#live !== undefined) return this.#live;
    let live = this.#detached || this.#diverged ? undefined : this.#host.borrow(environment);
    if (live === undefined) live = this.#host.create(this.#image, environment);
    else if (this.#image !== this.#original) live.stable.attach(this.#image.stable);
    live.view = this;
    this.#live = live;
    return live;
  }

  /** From now on the view reads and writes forks. */
  #fork(): void {
    if (this.#image !== this.#original) return;
    this.#image = {
      heap: this.#original.heap.fork(),
      stable: this.#original.stable.fork(),
      wasmState: this.#original.wasmState,
    };
    this.#live?.stable.rebase(this.#image.stable);
  }

  /** The original is about to change, or its ready instance is needed by somebody else. */
  detach(): void {
    this.#fork();
    this.#detached = true;
  }

  #letGo(live: LiveInstance): void {
    this.#live = undefined;
    live.view = undefined;
    if (!this.#detached && !live.spoiled && this.#image !== this.#original) this.#undo(live);
    else if (this.#detached) live.spoiled = true;
    this.#host.putBack(live);
  }

  /** A borrowed instance gets back what it was before a composite query committed to the forks. */
  #undo(live: LiveInstance): void {
    const { heapMemory } = live;
    if (heapMemory.wasmPages !== this.#original.heap.wasmPages) {
      live.spoiled = true;
      return;
    }
    for (const page of this.#changed) heapMemory.restore(page, this.#original.heap);
    live.stable.attach(this.#original.stable);
    live.committed = this.#original.wasmState;
    live.restoreState();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const live = this.#live;
    // A paused message still has it: it lets go when it is aborted or ends.
    if (live !== undefined && live.holder === this) {
      live.holder = undefined;
      this.#letGo(live);
    }
    this.#host.closed();
  }
}
