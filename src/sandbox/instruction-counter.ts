/**
 * The counter of an instance, read and changed through a few instructions of Wasm: from JavaScript an i64 global costs
 * ten times as much, and every system call is charged.
 */
export class InstructionCounter {
  /** Takes off `instructions`; 1 when the counter is below zero then. Any size is safe: it saturates. */
  readonly charge: (instructions: number) => number;
  /** Instructions left. */
  readonly left: () => number;
  readonly set: (instructions: number) => void;

  constructor(global: WebAssembly.Global) {
    accessors ??= new WebAssembly.Module(ACCESSORS);
    const { exports } = new WebAssembly.Instance(accessors, { host: { counter: global } });
    this.charge = exports['charge'] as (instructions: number) => number;
    this.left = exports['left'] as () => number;
    this.set = exports['set'] as (instructions: number) => void;
  }
}

let accessors: WebAssembly.Module | undefined;

/**
 *     (module
 *       (global (import "host" "counter") (mut i64))
 *       (func (export "charge") (param f64) (result i32)      ;; at most 2^48, so that nothing wraps
 *         global.get 0  local.get 0  f64.const 2^48  f64.min  i64.trunc_sat_f64_s  i64.sub  global.set 0
 *         global.get 0  i64.const 0  i64.lt_s)
 *       (func (export "left") (result f64)  global.get 0  f64.convert_i64_s)
 *       (func (export "set") (param f64)    local.get 0  i64.trunc_sat_f64_s  global.set 0))
 */
// biome-ignore format: one line for each part
const ACCESSORS = Uint8Array.of(
  0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
  1, 14, 3, 0x60, 1, 0x7c, 1, 0x7f, 0x60, 0, 1, 0x7c, 0x60, 1, 0x7c, 0,
  2, 17, 1, 4, ...text('host'), 7, ...text('counter'), 3, 0x7e, 1,
  3, 4, 3, 0, 1, 2,
  7, 23, 3, 6, ...text('charge'), 0, 0, 4, ...text('left'), 0, 1, 3, ...text('set'), 0, 2,
  10, 43, 3,
  26, 0, 0x23, 0, 0x20, 0, 0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x42, 0xa4, 0xfc, 6, 0x7d, 0x24, 0, 0x23, 0, 0x42, 0, 0x53, 0x0b,
  5, 0, 0x23, 0, 0xb9, 0x0b,
  8, 0, 0x20, 0, 0xfc, 6, 0x24, 0, 0x0b,
);

function text(word: string): number[] {
  return Array.from(word, (letter) => letter.charCodeAt(0));
}
