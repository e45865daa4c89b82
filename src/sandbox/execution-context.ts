import type { EntryPoint } from './contract.ts';

/**
 * From where a system call is made, in the letters of the specification's table ("Overview of imports"). Each is one bit,
 * so that the check of a call is one `and`.
 */
export type ContextLetter =
  /** The `(start)` function. */
  's' | 'I' | 'G' | 'U' | 'RQ' | 'NRQ' | 'TQ' | 'CQ' | 'Ry' | 'Rt' | 'CRy' | 'CRt' | 'C' | 'CC' | 'F' | 'T';

export const CONTEXT_BITS: Readonly<Record<ContextLetter, number>> = {
  s: 1 << 0,
  I: 1 << 1,
  G: 1 << 2,
  U: 1 << 3,
  RQ: 1 << 4,
  NRQ: 1 << 5,
  TQ: 1 << 6,
  CQ: 1 << 7,
  Ry: 1 << 8,
  Rt: 1 << 9,
  CRy: 1 << 10,
  CRt: 1 << 11,
  C: 1 << 12,
  CC: 1 << 13,
  F: 1 << 14,
  T: 1 << 15,
};

/** What `*` stands for in the table: everywhere but in `(start)`. */
const EVERYWHERE = 0xfffe;

/** How the real replica names each context in its messages; system tasks are named by their task instead. */
const TITLES: Readonly<Record<ContextLetter, string>> = {
  s: 'start',
  I: 'init',
  G: 'pre upgrade',
  U: 'update',
  RQ: 'replicated query',
  NRQ: 'non replicated query',
  TQ: 'non replicated query',
  CQ: 'composite query',
  Ry: 'reply callback',
  Rt: 'reject callback',
  CRy: 'composite reply callback',
  CRt: 'composite reject callback',
  C: 'cleanup',
  CC: 'composite cleanup',
  F: 'inspect message',
  T: 'system task',
};

export interface ExecutionContext {
  readonly letter: ContextLetter;
  readonly bit: number;
  /** As the real replica calls it in `cannot be executed in … mode`. */
  readonly title: string;
}

function context(letter: ContextLetter, title: string = TITLES[letter]): ExecutionContext {
  return { letter, bit: CONTEXT_BITS[letter], title };
}

export const START_CONTEXT: ExecutionContext = context('s');

const CONTEXTS: Readonly<Record<string, ExecutionContext>> = {
  install: context('I'),
  pre_upgrade: context('G'),
  update: context('U'),
  replicated_query: context('RQ'),
  query: context('NRQ'),
  transform_query: context('TQ'),
  composite_query: context('CQ'),
  reply_callback: context('Ry'),
  reject_callback: context('Rt'),
  cleanup_callback: context('C'),
  composite_reply_callback: context('CRy'),
  composite_reject_callback: context('CRt'),
  composite_cleanup_callback: context('CC'),
  inspect_message: context('F'),
  heartbeat: context('T', 'heartbeat'),
  global_timer: context('T', 'global timer'),
  on_low_wasm_memory: context('T', 'on low Wasm memory'),
};

/** The context in which the code of an entry point runs (its `(start)` function apart: `START_CONTEXT`). */
export function contextOf(entry: EntryPoint): ExecutionContext {
  const composite = 'composite' in entry && entry.composite;
  const found = CONTEXTS[composite ? `composite_${entry.kind}` : entry.kind];
  if (found === undefined) throw new Error(`no execution context for ${entry.kind}`);
  return found;
}

/** Reads a list of letters of the specification's table, e.g. `U RQ Rt Ry` or `* s`; `Q` stands for every query. */
export function contextBits(letters: string): number {
  let bits = 0;
  for (const letter of letters.split(' ')) {
    if (letter === '*') bits |= EVERYWHERE;
    else if (letter === 'Q') bits |= CONTEXT_BITS.RQ | CONTEXT_BITS.NRQ | CONTEXT_BITS.TQ;
    else if (letter in CONTEXT_BITS) bits |= CONTEXT_BITS[letter as ContextLetter];
    else throw new Error(`unknown context ${letter}`);
  }
  return bits;
}

/** Contexts whose changes are kept when they succeed. The others run on memories that are thrown away. */
const KEPT =
  CONTEXT_BITS.s |
  CONTEXT_BITS.I |
  CONTEXT_BITS.G |
  CONTEXT_BITS.U |
  CONTEXT_BITS.Ry |
  CONTEXT_BITS.Rt |
  CONTEXT_BITS.C |
  CONTEXT_BITS.T;

/** True when a successful message in this context changes the canister (a replicated query does not). */
export function keepsChanges(bit: number): boolean {
  return (bit & KEPT) !== 0;
}

const REPLICATED = KEPT | CONTEXT_BITS.RQ;

/** What `ic0.in_replicated_execution` answers. */
export function isReplicated(bit: number): boolean {
  return (bit & REPLICATED) !== 0;
}
