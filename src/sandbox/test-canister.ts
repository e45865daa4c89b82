import wabtFactory from 'wabt';
import {
  ANONYMOUS,
  canisterIdFromNumber,
  DEFAULT_LIMITS,
  PAGE_BYTES,
  type PageStore,
  Principal,
  WASM_PAGE_BYTES,
} from '../model/index.ts';
import { OWN_STACK_BYTES } from '../wasm/index.ts';
import type {
  CanisterImage,
  EntryPoint,
  ExecutionEnvironment,
  ExecutionResult,
  PreparedModule,
  Sandbox,
  Step,
  WasmState,
} from './contract.ts';
import { createSandbox } from './sandbox.ts';
import { SYSTEM_FUNCTIONS } from './system-functions.ts';

/** For tests: canisters written in WAT, with page stores in plain memory, driven as the replica drives them. */

const wabt = await wabtFactory();

export function wasmOf(wat: string, options: { readonly names?: boolean } = {}): Uint8Array {
  const module = wabt.parseWat('canister.wat', wat, { memory64: true, tail_call: true, bulk_memory: true });
  try {
    return new Uint8Array(module.toBinary({ write_debug_names: options.names ?? true }).buffer);
  } finally {
    module.destroy();
  }
}

/**
 * A canister from its functions: imports what they call of `ic0` (as `$name`), has a memory of one page and a table, and
 * `$reply` for `size` bytes at `at`.
 */
export function canisterOf(
  body: string,
  options: { readonly memory64?: boolean; readonly pages?: number } = {},
): string {
  const pointer = options.memory64 === true ? 'i64' : 'i32';
  const text = `${body}
    (func $reply (param $at ${pointer}) (param $size ${pointer})
      (call $msg_reply_data_append (local.get $at) (local.get $size)) (call $msg_reply))`;
  const imports = SYSTEM_FUNCTIONS.filter((f) => new RegExp(`call \\$${f.name}[\\s)]`).test(text)).map((f) => {
    const [params = '', result = ''] = f.type.replace('fun env', 'I I').replaceAll('I', pointer).split('->');
    return `(import "ic0" "${f.name}" (func $${f.name} (param ${params})${result === '' ? '' : ` (result ${result})`}))`;
  });
  return `(module ${imports.join(' ')}
    (memory ${options.memory64 === true ? 'i64 ' : ''}${options.pages ?? 1})
    ${text})`;
}

/** The obvious page store; a fork copies. */
export class PlainStore implements PageStore {
  wasmPages = 0;
  readonly contents: Map<number, Uint8Array> = new Map();

  view(page: number): Uint8Array | undefined {
    return this.contents.get(page);
  }

  write(page: number, source: Uint8Array, offset: number): void {
    this.contents.set(page, source.slice(offset, offset + PAGE_BYTES));
  }

  resize(wasmPages: number): void {
    this.wasmPages = wasmPages;
    const end = (wasmPages * WASM_PAGE_BYTES) / PAGE_BYTES;
    for (const page of this.contents.keys()) if (page >= end) this.contents.delete(page);
  }

  pages(): Iterable<number> {
    return [...this.contents.keys()].sort((a, b) => a - b);
  }

  fork(): PlainStore {
    const copy = new PlainStore();
    copy.wasmPages = this.wasmPages;
    for (const [page, bytes] of this.contents) copy.contents.set(page, bytes);
    return copy;
  }

  /** `length` bytes at `offset`, for assertions. */
  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      const page = this.contents.get(Math.floor((offset + i) / PAGE_BYTES));
      bytes[i] = page?.[(offset + i) % PAGE_BYTES] ?? 0;
    }
    return bytes;
  }

  /** Pages with content, for comparisons: zero pages are as good as absent ones. */
  snapshot(): { readonly wasmPages: number; readonly pages: readonly (readonly [number, string])[] } {
    const pages: [number, string][] = [];
    for (const page of this.pages()) {
      const bytes = this.contents.get(page);
      if (bytes?.some((byte) => byte !== 0)) pages.push([page, Buffer.from(bytes).toString('base64')]);
    }
    return { wasmPages: this.wasmPages, pages };
  }
}

export const SUBNET_ID: Principal = Principal.fromBytes(new Uint8Array(29).fill(7));

/** An environment in which everything is allowed; tests change what they are about. */
export function environmentOf(changes: Partial<ExecutionEnvironment> = {}): ExecutionEnvironment {
  return {
    time: 1_700_000_000_000_000_000n,
    caller: ANONYMOUS,
    deadline: 0n,
    canisterStatus: 1,
    canisterVersion: 1n,
    controllers: [],
    subnetId: SUBNET_ID,
    subnetSize: 13,
    rootKey: new Uint8Array(133).fill(3),
    environmentVariables: [],
    replicated: true,
    costSchedule: 'normal',
    balance: 100_000_000_000_000n,
    freezingThresholdCycles: 0n,
    cyclesAvailable: 0n,
    cyclesRefunded: 0n,
    responded: false,
    wasmMemoryLimitBytes: 0n,
    growableBytes: 1n << 40n,
    queueCapacity: () => 500,
    totalInstructions: 1_000_000_000n,
    callContextInstructions: 0n,
    ...changes,
  };
}

/** A sandbox whose stack limit fits the stacks that a process has by default. */
export function testSandbox(): Sandbox {
  return createSandbox({ limits: { ...DEFAULT_LIMITS, stackBytes: OWN_STACK_BYTES } });
}

const SLICE = 1_000_000_000n;

/** A canister as the replica keeps it. */
export class TestCanister {
  readonly sandbox: Sandbox;
  readonly id: Principal;
  heap: PlainStore = new PlainStore();
  stable: PlainStore = new PlainStore();
  wasmState: WasmState | undefined;
  module: PreparedModule | undefined;
  generation = 0;

  constructor(sandbox: Sandbox, number = 1n) {
    this.sandbox = sandbox;
    this.id = canisterIdFromNumber(number);
  }

  image(): CanisterImage {
    if (this.module === undefined) throw new Error('nothing is installed');
    return {
      id: this.id,
      module: this.module,
      heap: this.heap,
      stable: this.stable,
      wasmState: this.wasmState,
      generation: this.generation,
    };
  }

  /** Installs (or, with `heapKept`, upgrades); the module stays the old one when it fails. */
  async install(
    wat: string | Uint8Array,
    options: {
      readonly arg?: Uint8Array;
      readonly hook?: 'canister_init' | 'canister_post_upgrade';
      readonly heapKept?: boolean;
      readonly environment?: Partial<ExecutionEnvironment>;
      readonly slice?: bigint;
    } = {},
  ): Promise<ExecutionResult> {
    const before = { module: this.module, generation: this.generation };
    this.module = this.sandbox.prepare(typeof wat === 'string' ? wasmOf(wat) : wat);
    this.generation++;
    const result = await this.run(
      {
        kind: 'install',
        hook: options.hook ?? 'canister_init',
        arg: options.arg ?? new Uint8Array(0),
        heapKept: options.heapKept ?? false,
      },
      options.environment,
      options.slice,
    );
    if (result.error !== undefined) Object.assign(this, before);
    return result;
  }

  start(entry: EntryPoint, environment: Partial<ExecutionEnvironment> = {}, slice: bigint = SLICE): Promise<Step> {
    return this.sandbox.execute(this.image(), entry, environmentOf(environment), slice);
  }

  /** What the replica does with a finished message. */
  apply(result: ExecutionResult): ExecutionResult {
    if (result.wasmState !== undefined) this.wasmState = result.wasmState;
    return result;
  }

  /** Runs a message through all its slices. */
  async run(
    entry: EntryPoint,
    environment: Partial<ExecutionEnvironment> = {},
    slice: bigint = SLICE,
  ): Promise<ExecutionResult> {
    let step = await this.start(entry, environment, slice);
    while (!step.done) step = await step.paused.resume(slice);
    return this.apply(step.result);
  }

  update(
    method: string,
    arg: Uint8Array = new Uint8Array(0),
    environment: Partial<ExecutionEnvironment> = {},
    slice: bigint = SLICE,
  ): Promise<ExecutionResult> {
    return this.run({ kind: 'update', method, arg }, environment, slice);
  }

  /** One entry in a session of its own. */
  async query(
    entry: EntryPoint | string,
    environment: Partial<ExecutionEnvironment> = {},
    slice: bigint = SLICE,
  ): Promise<ExecutionResult> {
    const session = this.sandbox.openQuery(this.image());
    try {
      const point: EntryPoint =
        typeof entry === 'string' ? { kind: 'query', method: entry, arg: new Uint8Array(0) } : entry;
      let step = await session.execute(point, environmentOf({ replicated: false, ...environment }), slice);
      while (!step.done) step = await step.paused.resume(slice);
      return step.result;
    } finally {
      session.close();
    }
  }
}

export function replyOf(result: ExecutionResult): Uint8Array {
  if (result.error !== undefined) throw new Error(`${result.error.code}: ${result.error.message}`);
  if (result.response?.kind !== 'reply') throw new Error(`no reply but ${result.response?.kind ?? 'nothing'}`);
  return result.response.data;
}
