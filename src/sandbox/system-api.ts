import {
  type Cycles,
  callFee,
  type FeeContext,
  type Limits,
  Principal,
  responsePrepayment,
  type Time,
  type UserError,
  WASM_PAGE_BYTES,
} from '../model/index.ts';
import type { EntryPoint, ExecutionEnvironment, ExecutionResult, FunctionClosure, OutgoingCall } from './contract.ts';
import { CONTEXT_BITS, type ExecutionContext, isReplicated, START_CONTEXT } from './execution-context.ts';
import {
  instructionLimitExceeded,
  invalidPrincipal,
  methodNameTooLarge,
  outOfCycles,
  outOfMemory,
  rejectTooLarge,
  replyTooLarge,
  requestTooLarge,
  stableReadLimitExceeded,
  stableWriteLimitExceeded,
  toolchainViolation,
  trapped,
  wasmMemoryLimitExceeded,
  wrongMode,
} from './execution-error.ts';
import { PendingCall } from './pending-call.ts';
import type { StableMemory } from './stable-memory.ts';
import type { SystemFunction } from './system-function.ts';

/** The canister's Wasm instance as the System API needs it. */
export interface Machine {
  /** The heap as it is now; a view of no bytes when the module has no memory. Replaced when the heap grows. */
  readonly heap: Uint8Array;
  /** The same bytes. */
  readonly heapView: DataView;
  readonly hasMemory: boolean;
  readonly memory64: boolean;
  /** The host wrote into the heap: the pages must be committed (or rolled back) like the canister's own stores. */
  markHeap(offset: number, length: number): void;
  /** Takes `instructions` off the counter of the present slice; true when it is used up. */
  charge(instructions: number): boolean;
  /** Instructions of the message so far, in all its slices. */
  executed(): number;
  /** A real trap of WebAssembly, that no handler of the canister can catch. */
  trap(): never;
}

const NO_BYTES = new Uint8Array(0);
const NO_CALLS: readonly OutgoingCall[] = [];
const NO_LOGS: Uint8Array[] = [];
/** What a record of the log takes besides its text: index and time. */
const LOG_RECORD_BYTES = 16;
const WASM_PAGE = BigInt(WASM_PAGE_BYTES);
const U64 = 1n << 64n;
const MASK_64 = U64 - 1n;
/** 4 GiB: beyond it the 32-bit functions of stable memory trap. */
const STABLE_32_MAX_PAGES = 65_536;
/** Longest text that `ic0.trap` keeps. */
const TRAP_MESSAGE_BYTES = 32 * 1024;
/** Instructions for each byte that leaves the canister. */
export const TRANSMISSION_FACTOR = 50;
const STABLE_NEW_PAGE_INSTRUCTIONS = 1_000;
/** Contexts that are a part of an installation. */
const UPGRADE = CONTEXT_BITS.I | CONTEXT_BITS.G;
/** Contexts of the other replicated messages, queries apart. */
const MESSAGE = CONTEXT_BITS.s | CONTEXT_BITS.U | CONTEXT_BITS.T | CONTEXT_BITS.Ry | CONTEXT_BITS.Rt | CONTEXT_BITS.C;

const UTF8 = new TextEncoder();
const LOSSY = new TextDecoder('utf-8', { ignoreBOM: true });
const STRICT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The System API `ic0` for one live instance: the message that it runs now, what that message may see and what it has
 * done so far. `begin` sets the next message, the functions of the table (`system-functions.ts`) call the methods, and
 * whoever runs the message reads the effects afterwards. A failure sets `error` and traps.
 */
export class SystemApi {
  readonly limits: Limits;
  readonly canisterId: Principal;
  readonly machine: Machine;
  readonly stable: StableMemory;

  context: ExecutionContext = START_CONTEXT;
  environment: ExecutionEnvironment;
  error: UserError | undefined;
  /** Limit of the whole message, as a plain number: at most 300 billion in the real network. */
  totalInstructions = 0;
  heapWasmPages = 0;
  #peakHeapPages = 0;
  growableBytes = 0n;
  balance: Cycles = 0n;

  // What the message did so far; all of it is forgotten when it fails.
  response: ExecutionResult['response'];
  calls: readonly OutgoingCall[] = NO_CALLS;
  cyclesAccepted: Cycles = 0n;
  cyclesBurned: Cycles = 0n;
  timer: Time | undefined;
  certifiedData: Uint8Array | undefined;
  messageAccepted = false;

  /** `canister_inspect_message` and others that have one. */
  argument: Uint8Array = NO_BYTES;
  methodName: Uint8Array = NO_BYTES;
  rejectCode = 0;
  rejectMessage: Uint8Array = NO_BYTES;

  #entryContext: ExecutionContext = START_CONTEXT;
  /** Bytes of stable memory that a message may read, and write, by its kind. */
  readonly #stableLimits: { readonly upgrade: number; readonly message: number; readonly query: number };
  #stableLimitBytes = 0;
  #logs: Uint8Array[] = NO_LOGS;
  #logBytes = 0;
  #responded = false;
  #cyclesAvailable: Cycles = 0n;
  #replyChunks: Uint8Array[] = [];
  #replyBytes = 0;
  #pending: PendingCall | undefined;
  readonly #callsTo: Map<string, number> = new Map();
  #environmentVariables: readonly EnvironmentVariable[] | undefined;

  constructor(options: {
    readonly limits: Limits;
    readonly canisterId: Principal;
    readonly machine: Machine;
    readonly stable: StableMemory;
    readonly environment: ExecutionEnvironment;
  }) {
    const { limits } = options;
    this.limits = limits;
    this.#stableLimits = {
      upgrade: Number(limits.stableBytesPerUpgrade),
      message: Number(limits.stableWriteBytesPerMessage),
      query: Number(limits.stableBytesPerQuery),
    };
    this.canisterId = options.canisterId;
    this.machine = options.machine;
    this.stable = options.stable;
    this.environment = options.environment;
  }

  /** The next message. An install begins in its `(start)` function; `enterHook` goes on to the hook. */
  begin(entry: EntryPoint, context: ExecutionContext, environment: ExecutionEnvironment, heapWasmPages: number): void {
    this.#entryContext = context;
    this.#enterContext(entry.kind === 'install' ? START_CONTEXT : context);
    this.environment = environment;
    this.error = undefined;
    this.totalInstructions = Number(environment.totalInstructions);
    this.heapWasmPages = heapWasmPages;
    this.#peakHeapPages = heapWasmPages;
    this.growableBytes = environment.growableBytes;
    this.balance = environment.balance;
    this.#logs = NO_LOGS;
    this.#logBytes = 0;
    this.response = undefined;
    this.calls = NO_CALLS;
    this.cyclesAccepted = 0n;
    this.cyclesBurned = 0n;
    this.timer = undefined;
    this.certifiedData = undefined;
    this.messageAccepted = false;
    this.argument = 'arg' in entry ? entry.arg : entry.kind === 'reply_callback' ? entry.data : NO_BYTES;
    this.methodName = entry.kind === 'inspect_message' ? UTF8.encode(entry.method) : NO_BYTES;
    this.rejectCode =
      entry.kind === 'reject_callback'
        ? entry.reject.rejectCode
        : entry.kind === 'cleanup_callback'
          ? entry.rejectCode
          : 0;
    this.rejectMessage = entry.kind === 'reject_callback' ? UTF8.encode(entry.reject.message) : NO_BYTES;
    this.#responded = environment.responded;
    this.#cyclesAvailable = environment.cyclesAvailable;
    if (this.#replyBytes > 0 || this.#replyChunks.length > 0) this.#replyChunks = [];
    this.#replyBytes = 0;
    this.#pending = undefined;
    if (this.#callsTo.size > 0) this.#callsTo.clear();
    this.#environmentVariables = undefined;
  }

  #enterContext(context: ExecutionContext): void {
    this.context = context;
    this.#stableLimitBytes =
      (context.bit & UPGRADE) !== 0
        ? this.#stableLimits.upgrade
        : (context.bit & MESSAGE) !== 0
          ? this.#stableLimits.message
          : this.#stableLimits.query;
  }

  /** `(start)` is over: the hook of the installation follows in its own context. */
  enterHook(): void {
    this.#enterContext(this.#entryContext);
  }

  /** The message is over, well or not: a call that was not performed gives its cycles back. */
  end(): void {
    this.#refundPending();
  }

  // --- entering and failing ---------------------------------------------------------------------------------------

  /**
   * Every system call begins here: it is charged (`bytes` are what it moves), then its place is checked.
   * Running out of the slice is not noticed here but at the canister's next function entry or loop head.
   */
  enter(definition: SystemFunction, bytes: number): void {
    if (this.machine.charge(definition.instructions + bytes)) this.checkTotal();
    if ((definition.contexts & this.context.bit) === 0) this.fail(wrongMode(definition.name, this.context.title));
  }

  /** Traps when the message has used more than it may in all. */
  checkTotal(): void {
    if (this.machine.executed() > this.totalInstructions) this.fail(instructionLimitExceeded(this.totalInstructions));
  }

  fail(error: UserError): never {
    this.error = error;
    return this.machine.trap();
  }

  // --- bytes in and out of the heap -------------------------------------------------------------------------------

  /** Checks that the heap has the range; `place` names the argument in the message. */
  checkHeap(place: string, offset: number, size: number): void {
    if (!this.machine.hasMemory) this.fail(toolchainViolation('WebAssembly module must define memory'));
    if (offset + size > this.machine.heap.length) this.#outside(place, offset, size, this.machine.heap.length);
  }

  #outside(place: string, offset: number, size: number, available: number): never {
    const limit = this.machine.memory64 ? U64 : 1n << 32n;
    this.fail(
      toolchainViolation(
        BigInt(offset) + BigInt(size) >= limit
          ? `${place}: src=${BigInt(offset)} + length=${BigInt(size)} is an invalid address`
          : `${place}: src=${BigInt(offset)} + length=${BigInt(size)} exceeds the slice size=${available}`,
      ),
    );
  }

  /** A view of bytes of the heap, to be used before anything else runs. */
  heapBytes(place: string, offset: number, size: number): Uint8Array {
    this.checkHeap(place, offset, size);
    return this.machine.heap.subarray(offset, offset + size);
  }

  /** `ic0.foo_copy`: copies a part of `source` into the heap. */
  copyOut(
    definition: SystemFunction,
    what: string,
    source: Uint8Array,
    target: number,
    offset: number,
    size: number,
  ): void {
    const machine = this.machine;
    if (!machine.hasMemory || target + size > machine.heap.length) {
      this.checkHeap(`ic0.${definition.name} heap`, target, size);
    }
    if (offset + size > source.length) this.#outside(`ic0.${definition.name} ${what}`, offset, size, source.length);
    if (size === 0) return;
    if (offset === 0 && size === source.length) machine.heap.set(source, target);
    else machine.heap.set(source.subarray(offset, offset + size), target);
    machine.markHeap(target, size);
  }

  /** Writes an amount of cycles, 16 bytes, least significant first. */
  putCycles(definition: SystemFunction, amount: Cycles, target: number): void {
    const machine = this.machine;
    if (!machine.hasMemory) this.fail(toolchainViolation('WebAssembly module must define memory'));
    if (target + 16 > machine.heap.length) {
      this.fail(
        toolchainViolation(
          `ic0_${definition.name} failed because dst + size is out of bounds.Found dst = ${BigInt(target)} and size = 16 while must be <= ${machine.heap.length}`,
        ),
      );
    }
    machine.heapView.setBigUint64(target, amount & MASK_64, true);
    machine.heapView.setBigUint64(target + 8, amount >> 64n, true);
    machine.markHeap(target, 16);
  }

  /** Text from the heap; a failure when it is not UTF-8. */
  heapText(place: string, offset: number, size: number, orElse: () => UserError): string {
    const bytes = this.heapBytes(place, offset, size);
    try {
      return STRICT.decode(bytes);
    } catch {
      return this.fail(orElse());
    }
  }

  // --- responding ---------------------------------------------------------------------------------------------------

  #replyLimit(): number {
    const { bit } = this.context;
    const query = CONTEXT_BITS.NRQ | CONTEXT_BITS.TQ | CONTEXT_BITS.CQ;
    return (bit & query) !== 0 ? this.limits.queryResponsePayloadBytes : this.limits.responsePayloadBytes;
  }

  appendReply(offset: number, size: number): void {
    if (this.#responded) this.fail(toolchainViolation('ic0.msg_reply_data_append: the call is already replied.'));
    const total = this.#replyBytes + size;
    const limit = this.#replyLimit();
    if (total > limit) this.fail(replyTooLarge(total, limit));
    const bytes = this.heapBytes('msg.reply', offset, size);
    if (size > 0) this.#replyChunks.push(bytes.slice());
    this.#replyBytes = total;
  }

  reply(): void {
    if (this.#responded) this.fail(toolchainViolation('ic0.msg_reply: the call is already replied'));
    this.#respond({ kind: 'reply', data: concatenated(this.#replyChunks, this.#replyBytes) });
  }

  reject(offset: number, size: number): void {
    if (this.#responded) this.fail(toolchainViolation('ic0.msg_reject: the call is already replied'));
    const limit = this.#replyLimit();
    if (size > limit) this.fail(rejectTooLarge(size, limit));
    const message = this.heapText('ic0.msg_reject', offset, size, () =>
      toolchainViolation('ic0.msg_reject: invalid UTF-8 string provided'),
    );
    this.#respond({ kind: 'reject', message });
  }

  #respond(response: NonNullable<ExecutionResult['response']>): void {
    this.response = response;
    this.#responded = true;
    this.#cyclesAvailable = 0n;
    this.#replyChunks = [];
    this.#replyBytes = 0;
  }

  acceptMessage(): void {
    if (this.messageAccepted) {
      this.fail(toolchainViolation('ic0.accept_message: the function was already called.'));
    }
    this.messageAccepted = true;
  }

  // --- calls ------------------------------------------------------------------------------------------------------

  newCall(
    callee: readonly [offset: number, size: number],
    method: readonly [offset: number, size: number],
    onReply: FunctionClosure,
    onReject: FunctionClosure,
  ): void {
    this.#refundPending();
    const { limits } = this;
    for (const limit of [limits.moduleExportedNamesBytes, limits.localRequestPayloadBytes]) {
      if (method[1] > limit) this.fail(methodNameTooLarge(method[1], limit));
    }
    const name = LOSSY.decode(this.heapBytes('ic0.call_new method_name', ...method));
    const id = this.heapBytes('ic0.call_new callee_src', ...callee);
    if (id.length > 29) this.fail(invalidPrincipal());
    this.#pending = new PendingCall(Principal.fromBytes(id.slice()), name, onReply, onReject);
  }

  /** The call under construction. */
  pendingCall(definition: SystemFunction): PendingCall {
    const pending = this.#pending;
    if (pending !== undefined) return pending;
    // The functions that add cycles are named with an underscore in this message.
    const separator = definition.name.startsWith('call_cycles_add') ? '_' : '.';
    return this.fail(
      toolchainViolation(`ic0${separator}${definition.name} called when no call is under construction.`),
    );
  }

  appendCallData(definition: SystemFunction, offset: number, size: number): void {
    const pending = this.pendingCall(definition);
    const limit = this.limits.localRequestPayloadBytes;
    const total = pending.payloadBytes + size;
    if (total > limit) this.fail(requestTooLarge(pending.callee.toText(), pending.method, total, limit));
    pending.append(this.heapBytes('ic0.call_data_append', offset, size).slice());
  }

  addCallCycles(definition: SystemFunction, amount: Cycles): void {
    const pending = this.pendingCall(definition);
    if (amount > this.liquidBalance()) this.fail(outOfCycles(this.canisterId.toText()));
    this.balance -= amount;
    pending.cycles += amount;
  }

  performCall(definition: SystemFunction): number {
    const pending = this.pendingCall(definition);
    this.#pending = undefined;
    const fees = this.feeContext();
    const transmission = callFee(fees, pending.payloadBytes);
    const prepaidFee = transmission + responsePrepayment(fees, this.limits, this.machine.memory64);
    const key = pending.callee.key;
    const sent = this.#callsTo.get(key) ?? 0;
    const room = this.environment.queueCapacity(pending.callee) > sent;
    // A composite query pays nothing: it runs on one node and leaves no trace.
    const { replicated } = this;
    if (!room || (replicated && prepaidFee > this.liquidBalance())) {
      this.balance += pending.cycles;
      return SYS_TRANSIENT;
    }
    this.#callsTo.set(key, sent + 1);
    if (replicated) this.balance -= prepaidFee;
    this.calls = [...this.calls, pending.finish(replicated ? prepaidFee : 0n)];
    return 0;
  }

  #refundPending(): void {
    if (this.#pending === undefined) return;
    this.balance += this.#pending.cycles;
    this.#pending = undefined;
  }

  // --- cycles -------------------------------------------------------------------------------------------------------

  /** What `ic0.in_replicated_execution` answers. */
  get replicated(): boolean {
    return isReplicated(this.context.bit);
  }

  feeContext(): FeeContext {
    return this.environment;
  }

  liquidBalance(): Cycles {
    const threshold = this.environment.freezingThresholdCycles;
    return this.balance > threshold ? this.balance - threshold : 0n;
  }

  get cyclesAvailable(): Cycles {
    return this.#cyclesAvailable;
  }

  acceptCycles(maximum: Cycles): Cycles {
    const amount = maximum < this.#cyclesAvailable ? maximum : this.#cyclesAvailable;
    this.#cyclesAvailable -= amount;
    this.balance += amount;
    this.cyclesAccepted += amount;
    return amount;
  }

  burnCycles(maximum: Cycles): Cycles {
    const liquid = this.liquidBalance();
    const amount = maximum < liquid ? maximum : liquid;
    this.balance -= amount;
    this.cyclesBurned += amount;
    return amount;
  }

  /** An amount as an i64, for the functions of the time when balances were small. */
  narrow(amount: Cycles): bigint {
    if (amount >= U64) this.fail(trapped('cycles amount exceeds 64-bit representation'));
    return amount;
  }

  // --- memory -------------------------------------------------------------------------------------------------------

  /**
   * Asked before the heap grows. A growth beyond the memory's own maximum is for the instruction to refuse (-1); all
   * other limits end the message.
   */
  approveHeapGrowth(fromWasmPages: number, byWasmPages: number): void {
    const bytes = BigInt(byWasmPages) * WASM_PAGE;
    const total = BigInt(fromWasmPages) * WASM_PAGE + bytes;
    const limit = this.environment.wasmMemoryLimitBytes;
    const limited = (this.context.bit & (CONTEXT_BITS.s | CONTEXT_BITS.I | CONTEXT_BITS.U)) !== 0;
    if (limited && limit !== 0n && total > limit) this.fail(wasmMemoryLimitExceeded(total, limit));
    if (bytes > this.growableBytes) this.fail(outOfMemory());
    this.growableBytes -= bytes;
    this.heapWasmPages = fromWasmPages + byWasmPages;
    if (this.heapWasmPages > this.#peakHeapPages) this.#peakHeapPages = this.heapWasmPages;
  }

  get peakHeapBytes(): bigint {
    return BigInt(this.#peakHeapPages) * WASM_PAGE;
  }

  /** The size in pages, where the caller can only express 4 GiB. */
  stableSize32(): number {
    const pages = this.stable.wasmPages;
    if (pages > STABLE_32_MAX_PAGES) {
      this.fail(trapped('32 bit stable memory api used on a memory larger than 4GB'));
    }
    return pages;
  }

  /** Grows stable memory; returns the previous size or -1. */
  growStable(pages: bigint, limitPages: bigint): bigint {
    const before = BigInt(this.stable.wasmPages);
    const bytes = pages * WASM_PAGE;
    if (before + pages > limitPages || bytes > this.growableBytes) return -1n;
    this.growableBytes -= bytes;
    this.stable.grow(Number(pages));
    return before;
  }

  readStable(target: number, offset: number, size: number): void {
    if (offset + size > this.stable.bytes) this.fail(trapped('stable memory out of bounds'));
    if (target + size > this.machine.heap.length) this.fail(trapped('heap out of bounds'));
    if (size === 0) return;
    this.#touchStable(offset, size);
    this.stable.read(offset, this.machine.heap, target, size);
    this.machine.markHeap(target, size);
  }

  writeStable(offset: number, source: number, size: number): void {
    if (offset + size > this.stable.bytes) this.fail(trapped('stable memory out of bounds'));
    if (source + size > this.machine.heap.length) this.fail(trapped('heap out of bounds'));
    if (size === 0) return;
    const fresh = this.stable.newlyDirty(offset, size);
    if (fresh > 0) {
      if (this.machine.charge(fresh * STABLE_NEW_PAGE_INSTRUCTIONS)) this.checkTotal();
      if ((this.stable.dirtyCount + fresh) * 4096 > this.#stableLimitBytes) {
        this.fail(
          stableWriteLimitExceeded(
            this.limits.stableWriteBytesPerMessage,
            this.limits.stableBytesPerUpgrade,
            this.limits.stableBytesPerQuery,
          ),
        );
      }
    }
    this.#touchStable(offset, size);
    this.stable.write(offset, this.machine.heap, source, size);
  }

  #touchStable(offset: number, size: number): void {
    if (this.stable.touch(offset, size) * 4096 <= this.#stableLimitBytes) return;
    this.fail(stableReadLimitExceeded(this.limits.stableWriteBytesPerMessage, this.limits.stableBytesPerQuery));
  }

  // --- logs and the rest --------------------------------------------------------------------------------------------

  /** Instructions for a line of the log, which is kept up to a size and sent up to what is left of it. */
  logInstructions(size: number): number {
    const capacity = this.limits.logBytes;
    const left = Math.max(0, capacity - this.#logBytes);
    return 2 * Math.min(size, capacity) + TRANSMISSION_FACTOR * Math.min(size, left);
  }

  log(content: Uint8Array): void {
    const capacity = this.limits.logBytes - LOG_RECORD_BYTES;
    const kept = content.length > capacity ? content.slice(0, capacity) : content;
    if (this.#logs === NO_LOGS) this.#logs = [];
    this.#logs.push(kept);
    this.#logBytes += kept.length + LOG_RECORD_BYTES;
    while (this.#logBytes > this.limits.logBytes) {
      this.#logBytes -= (this.#logs.shift()?.length ?? 0) + LOG_RECORD_BYTES;
    }
  }

  /** Lines of the message's log, the newest ones when there were too many. */
  get logs(): readonly Uint8Array[] {
    return this.#logs;
  }

  print(offset: number, size: number): void {
    const fits = this.machine.hasMemory && offset + size <= this.machine.heap.length;
    this.log(
      fits
        ? this.machine.heap.slice(offset, offset + Math.min(size, this.limits.logBytes))
        : UTF8.encode('(debug_print message out of memory bounds)'),
    );
  }

  trapMessage(offset: number, size: number): string {
    const kept = Math.min(size, TRAP_MESSAGE_BYTES);
    if (offset + kept > this.machine.heap.length) return '(trap message out of memory bounds)';
    return LOSSY.decode(this.machine.heap.subarray(offset, offset + kept));
  }

  get environmentVariables(): readonly EnvironmentVariable[] {
    this.#environmentVariables ??= this.environment.environmentVariables
      .map(({ name, value }) => ({ name, nameBytes: UTF8.encode(name), valueBytes: UTF8.encode(value) }))
      .sort((a, b) => compareBytes(a.nameBytes, b.nameBytes));
    return this.#environmentVariables;
  }
}

/** An environment variable with its text as UTF-8; sorted by name where they are listed. */
export interface EnvironmentVariable {
  readonly name: string;
  readonly nameBytes: Uint8Array;
  readonly valueBytes: Uint8Array;
}

/** The code by which `ic0.call_perform` says that the call could not be made. */
const SYS_TRANSIENT = 2;

function concatenated(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const [first] = chunks;
  if (first !== undefined && chunks.length === 1) return first;
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
