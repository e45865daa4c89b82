import { Dice } from './test-wat.ts';

/**
 * Random programs for tests, each in two versions. `plain` is what the passes get. `reference` says in ordinary Wasm, and
 * without any analysis, what they should make of it: it adds up weights instruction by instruction in the exported global
 * `count`, and makes the result of each arithmetic instruction canonical at once. The programs end without a trap.
 */
export interface Program {
  readonly plain: string;
  readonly reference: string;
}

type Type = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';
type Lanes = 'f32' | 'f64' | 'f32x4' | 'f64x2';

interface Operation {
  readonly name: string;
  readonly operands: readonly Type[];
  readonly result: Type;
  readonly weight: number;
  readonly made: Lanes | undefined;
}

const OPERATIONS: Operation[] = [];
function operations(names: string, operands: readonly Type[], result: Type, weight: number, made?: Lanes): void {
  for (const name of names.split(' ')) OPERATIONS.push({ name, operands, result, weight, made });
}
const prefixed = (prefix: string, names: string): string =>
  names
    .split(' ')
    .map((name) => `${prefix}.${name}`)
    .join(' ');

for (const type of ['i32', 'i64'] as const) {
  operations(prefixed(type, 'add sub mul and or xor shl rotl shr_u'), [type, type], type, 1);
  operations(prefixed(type, 'eq lt_s ge_u'), [type, type], 'i32', 1);
  operations(prefixed(type, 'clz popcnt extend8_s'), [type], type, 1);
  operations(`${type}.eqz`, [type], 'i32', 1);
}
operations('i32.wrap_i64', ['i64'], 'i32', 1);
operations('i64.extend_i32_s i64.extend_i32_u', ['i32'], 'i64', 1);
for (const [type, divide, root, copysign] of [
  ['f32', 3, 5, 2],
  ['f64', 5, 8, 3],
] as const) {
  operations(prefixed(type, 'abs neg'), [type], type, 1);
  operations(prefixed(type, 'ceil floor trunc nearest'), [type], type, 2, type);
  operations(prefixed(type, 'sqrt'), [type], type, root, type);
  operations(prefixed(type, 'add sub mul'), [type, type], type, 2, type);
  operations(prefixed(type, 'div'), [type, type], type, divide, type);
  operations(prefixed(type, 'min max'), [type, type], type, 18, type);
  operations(prefixed(type, 'copysign'), [type, type], type, copysign);
  operations(prefixed(type, 'eq ne lt gt le ge'), [type, type], 'i32', 3);
  for (const integer of ['i32', 'i64'] as const) {
    operations(`${integer}.trunc_sat_${type}_s ${integer}.trunc_sat_${type}_u`, [type], integer, 20);
    operations(`${type}.convert_${integer}_s`, [integer], type, 3);
    operations(`${type}.convert_${integer}_u`, [integer], type, 16);
  }
}
operations('f32.demote_f64', ['f64'], 'f32', 1, 'f32');
operations('f64.promote_f32', ['f32'], 'f64', 1, 'f64');
operations('i32.reinterpret_f32', ['f32'], 'i32', 1);
operations('i64.reinterpret_f64', ['f64'], 'i64', 1);
operations('f32.reinterpret_i32', ['i32'], 'f32', 1);
operations('f64.reinterpret_i64', ['i64'], 'f64', 1);

const VECTORS = OPERATIONS.length;
const two: readonly Type[] = ['v128', 'v128'];
const one: readonly Type[] = ['v128'];
for (const [lanes, root, divide, max] of [
  ['f32x4', 5, 10, 4],
  ['f64x2', 14, 12, 5],
] as const) {
  operations(prefixed(lanes, 'ceil floor trunc nearest'), one, 'v128', 2, lanes);
  operations(prefixed(lanes, 'abs neg'), one, 'v128', 2);
  operations(`${lanes}.sqrt`, one, 'v128', root, lanes);
  operations(prefixed(lanes, 'add sub mul'), two, 'v128', 2, lanes);
  operations(`${lanes}.div`, two, 'v128', divide, lanes);
  operations(`${lanes}.min`, two, 'v128', 4, lanes);
  operations(`${lanes}.max`, two, 'v128', max, lanes);
  operations(prefixed(lanes, 'pmin pmax eq lt ge'), two, 'v128', 1);
}
operations('f32x4.demote_f64x2_zero', one, 'v128', 1, 'f32x4');
operations('f64x2.promote_low_f32x4', one, 'v128', 1, 'f64x2');
operations('i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f64x2_s_zero', one, 'v128', 2);
operations('i32x4.trunc_sat_f64x2_u_zero', one, 'v128', 3);
operations('i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_u', one, 'v128', 4);
operations('f32x4.convert_i32x4_s f64x2.convert_low_i32x4_s f64x2.convert_low_i32x4_u', one, 'v128', 1);
operations('v128.not i8x16.neg i32x4.abs i64x2.extend_low_i32x4_s', one, 'v128', 1);
operations('v128.and v128.or v128.xor v128.andnot i8x16.swizzle i32x4.add i16x8.min_s i64x2.eq', two, 'v128', 1);
operations('i32x4.mul i8x16.lt_u', two, 'v128', 2);
operations('i64x2.mul', two, 'v128', 4);
operations('i8x16.shuffle|0|17|2|19|4|21|6|23|24|9|26|11|28|13|30|15', two, 'v128', 3);
operations('v128.bitselect', ['v128', 'v128', 'v128'], 'v128', 1);
operations('v128.any_true i32x4.all_true i8x16.bitmask', one, 'i32', 1);
operations('f32x4.splat', ['f32'], 'v128', 1);
operations('f64x2.splat', ['f64'], 'v128', 1);
operations('i32x4.splat', ['i32'], 'v128', 1);
operations('i64x2.splat', ['i64'], 'v128', 1);
for (const lane of [1, 3]) operations(`f32x4.extract_lane|${lane}`, one, 'f32', 1);
for (const lane of [0, 1]) {
  operations(`f64x2.extract_lane|${lane}`, one, 'f64', 1);
  operations(`i64x2.extract_lane|${lane}`, one, 'i64', 1);
  operations(`f64x2.replace_lane|${lane}`, ['v128', 'f64'], 'v128', 1);
  operations(`f32x4.replace_lane|${lane}`, ['v128', 'f32'], 'v128', 1);
}
operations('i8x16.shl', ['v128', 'i32'], 'v128', 3);

const STORES: readonly (readonly [name: string, type: Type])[] = [
  ['i32.store', 'i32'],
  ['i32.store8', 'i32'],
  ['i32.store16', 'i32'],
  ['i64.store', 'i64'],
  ['i64.store32', 'i64'],
  ['f32.store', 'f32'],
  ['f64.store', 'f64'],
  ['v128.store', 'v128'],
  ['v128.store64_lane', 'v128'],
  ['v128.store8_lane', 'v128'],
];
const GLOBALS: readonly Type[] = ['i32', 'i64', 'f32', 'f64', 'v128', 'f64', 'v128'];
const HEAP_MASK = 0x1ffff;

interface Token {
  readonly text: string;
  readonly weight: number;
  readonly made: Lanes | undefined;
}

interface Signature {
  readonly parameters: readonly Type[];
  readonly results: readonly Type[];
}

export interface ProgramOptions {
  readonly wide: boolean;
  readonly vectors: boolean;
  readonly tailCalls: boolean;
}

export function randomProgram(seed: number, options: ProgramOptions): Program {
  return new Generator(seed, options).program();
}

class Generator {
  readonly #dice: Dice;
  readonly #options: ProgramOptions;
  readonly #types: readonly Type[];
  readonly #operations: ReadonlyMap<Type, readonly Operation[]>;
  readonly #address: 'i32' | 'i64';
  #tokens: Token[] = [];
  #locals: Type[] = [];
  #signature: Signature = { parameters: [], results: [] };
  readonly #signatures: Signature[] = [];
  #depth = 0;
  #loops = 0;
  /** Calls may nest, loops may call: bounded. */
  #calls = 0;

  constructor(seed: number, options: ProgramOptions) {
    this.#dice = new Dice(seed);
    this.#options = options;
    this.#types = options.vectors ? ['i32', 'i64', 'f32', 'f64', 'v128'] : ['i32', 'i64', 'f32', 'f64'];
    this.#address = options.wide ? 'i64' : 'i32';
    const available = options.vectors ? OPERATIONS : OPERATIONS.slice(0, VECTORS);
    this.#operations = new Map(
      this.#types.map((type) => [type, available.filter((operation) => operation.result === type)]),
    );
  }

  #emit(text: string, weight = 0, made?: Lanes): void {
    this.#tokens.push({ text, weight, made });
  }

  #type(): Type {
    return this.#dice.one(this.#types);
  }

  #float(): Type {
    return this.#dice.one(this.#types.filter((type) => type.startsWith('f') || type === 'v128'));
  }

  // --- expressions --------------------------------------------------------------------------------------------------

  #constant(type: Type): string {
    const dice = this.#dice;
    const word = (): string =>
      dice.one(['0x7fc00000', '0xffc12345', '0x7f800001', '0x7ff80000', '0xfff00001', '0', '1', '0x3f800000', '0xbf']);
    switch (type) {
      case 'i32':
      case 'i64':
        return `${type}.const ${dice.one(['0', '1', '-1', '8', '100', '4096', '0x7fc00001', '65532', '-8'])}`;
      case 'f32':
        return `f32.const ${dice.one(['0', '1.5', '-0', 'inf', 'nan', '-nan:0x412345', 'nan:0x1', '3e38', '-1'])}`;
      case 'f64':
        return `f64.const ${dice.one(['0', '-2.5', '-0', '-inf', 'inf', 'nan', '-nan', 'nan:0xdeadbeef', '1e300'])}`;
      case 'v128':
        return `v128.const i32x4 ${word()} ${word()} ${word()} ${word()}`;
    }
  }

  #leaf(type: Type): void {
    const locals = this.#locals.flatMap((local, index) => (local === type ? [index] : []));
    const dice = this.#dice;
    const roll = dice.below(8);
    if (roll < 4 && locals.length > 0) this.#emit(`local.get ${dice.one(locals)}`, 1);
    else if (roll === 5) {
      this.#emit(`global.get $g${dice.one(GLOBALS.flatMap((global, i) => (global === type ? [i] : [])))}`, 2);
    } else if (roll >= 6) {
      this.#addressOf(0);
      this.#emit(`${type}.load offset=${dice.one([0, 3, 8, 4090])}`, this.#options.wide ? 2 : 1);
    } else this.#emit(this.#constant(type), 1);
  }

  #addressOf(depth: number): void {
    const dice = this.#dice;
    if (dice.below(3) === 0) {
      this.#emit(`${this.#address}.const ${dice.below(130_000)}`, 1);
      return;
    }
    this.#expression('i32', depth - 1);
    this.#emit(`i32.const ${dice.one([HEAP_MASK - 0x8000, 0xfff8, 0x1ff0])}`, 1);
    this.#emit('i32.and', 1);
    if (this.#options.wide) this.#emit('i64.extend_i32_u', 1);
    if (dice.below(3) === 0) {
      this.#emit(`${this.#address}.const ${dice.one([8, 16, 100, 4096])}`, 1);
      this.#emit(`${this.#address}.add`, 1);
    }
  }

  #operation(type: Type, operands: (type: Type) => void): void {
    const { name, operands: types, weight, made } = this.#dice.one(this.#operations.get(type) ?? []);
    for (const operand of types) operands(operand);
    this.#emit(name.replaceAll('|', ' '), weight, made);
  }

  /** An operation that takes one operand of the type, which is on the stack, and gives the same type. */
  #change(type: Type): void {
    const candidates = (this.#operations.get(type) ?? []).filter(
      ({ operands }) => operands.length > 0 && operands.every((operand) => operand === type),
    );
    const { name, operands, weight, made } = this.#dice.one(candidates);
    for (let i = 1; i < operands.length; i++) this.#leaf(type);
    this.#emit(name.replaceAll('|', ' '), weight, made);
  }

  #expression(type: Type, depth: number): void {
    const dice = this.#dice;
    if (depth <= 0 || this.#tokens.length > 1200) {
      this.#leaf(type);
      return;
    }
    const inner = (of: Type): void => this.#expression(of, depth - 1);
    const locals = this.#locals.flatMap((local, index) => (local === type && !this.#isCounter(index) ? [index] : []));
    switch (dice.below(16)) {
      case 0:
        inner(type);
        inner(type);
        inner('i32');
        this.#emit(type === 'v128' || dice.below(2) === 0 ? `select (result ${type})` : 'select', 1);
        return;
      case 1:
        if (locals.length === 0) break;
        inner(type);
        this.#emit(`local.tee ${dice.one(locals)}`, 1);
        return;
      case 2:
        this.#block(`block (result ${type})`, () => {
          this.#statements(depth - 2);
          inner(type);
          inner('i32');
          this.#emit('br_if 0', 2);
          if (dice.below(2) === 0) this.#change(type);
        });
        return;
      case 3:
        inner('i32');
        this.#emit(`if (result ${type})`, 2);
        this.#depth++;
        inner(type);
        this.#emit('else');
        if (dice.below(3) === 0) this.#statements(depth - 2);
        inner(type);
        this.#depth--;
        this.#emit('end');
        return;
      case 4:
        // Through a jump table: changed on one of the ways.
        this.#block(`block (result ${type})`, () => {
          this.#block(`block (result ${type})`, () => {
            inner(type);
            inner('i32');
            this.#emit('br_table 0 1 0', 2);
            if (dice.below(2) === 0) {
              this.#leaf(type);
              this.#emit('drop', 1);
            }
          });
          this.#change(type);
        });
        return;
      case 5:
        inner(type);
        this.#loop(`loop (param ${type}) (result ${type})`, () => this.#change(type));
        return;
      case 6:
        inner(type);
        inner('i32');
        this.#emit(`if (param ${type}) (result ${type})`, 2);
        this.#change(type);
        if (dice.below(2) === 0) {
          this.#emit('else');
          if (dice.below(2) === 0) this.#change(type);
        }
        this.#emit('end');
        return;
      case 7: {
        const callees = this.#signatures.flatMap(({ results }, i) =>
          results.length === 1 && results[0] === type ? [i] : [],
        );
        if (callees.length === 0 || !this.#mayCall()) break;
        this.#call(dice.one(callees), depth);
        return;
      }
      case 8:
        inner(type);
        this.#block(`block (param ${type}) (result ${type})`, () => {
          this.#change(type);
          inner('i32');
          this.#emit('br_if 0', 2);
          this.#change(type);
        });
        return;
    }
    this.#operation(type, inner);
  }

  // --- statements ---------------------------------------------------------------------------------------------------

  #block(head: string, body: () => void): void {
    this.#emit(head);
    this.#depth++;
    body();
    this.#depth--;
    this.#emit('end');
  }

  /** Locals of that index count loops. */
  #isCounter(index: number): boolean {
    const first = this.#signature.parameters.length;
    return index >= first && index < first + 3;
  }

  #loop(head: string, body: () => void): void {
    if (this.#loops > 1) {
      this.#block(head.replace('loop', 'block'), body);
      return;
    }
    const counter = this.#signature.parameters.length + this.#loops;
    this.#loops++;
    this.#emit(`i32.const ${1 + this.#dice.below(3)}`, 1);
    this.#emit(`local.set ${counter}`, 1);
    this.#block(head, () => {
      body();
      this.#emit(`local.get ${counter}`, 1);
      this.#emit('i32.const 1', 1);
      this.#emit('i32.sub', 1);
      this.#emit(`local.tee ${counter}`, 1);
      this.#emit('br_if 0', 2);
    });
    this.#loops--;
  }

  #mayCall(): boolean {
    return this.#calls++ < 4 && this.#loops < 2;
  }

  #call(callee: number, depth: number): void {
    for (const parameter of this.#signatures[callee]?.parameters ?? []) this.#expression(parameter, depth - 1);
    if (this.#dice.below(3) === 0) {
      this.#emit(`i32.const ${callee}`, 1);
      this.#emit(`call_indirect (type $t${callee})`, 10);
    } else this.#emit(`call $f${callee}`, 5);
  }

  #statements(depth: number): void {
    for (let left = 1 + this.#dice.below(3); left > 0; left--) this.#statement(depth);
  }

  #assignable(): number[] {
    return this.#locals.flatMap((_, index) => (this.#isCounter(index) ? [] : [index]));
  }

  #statement(depth: number): void {
    const dice = this.#dice;
    if (this.#tokens.length > 1200) return;
    const weight = this.#options.wide ? 2 : 1;
    switch (depth <= 0 ? dice.below(3) : dice.below(13)) {
      case 0: {
        const local = dice.one(this.#assignable());
        this.#expression(this.#locals[local] as Type, depth);
        this.#emit(`local.set ${local}`, 1);
        return;
      }
      case 1: {
        const [name, type] = dice.one(STORES.filter(([, of]) => this.#types.includes(of)));
        this.#addressOf(depth);
        this.#expression(type, depth);
        this.#emit(`${name} offset=${dice.one([0, 1, 16, 200])} align=1${name.endsWith('lane') ? ' 0' : ''}`, weight);
        return;
      }
      case 2: {
        const global = dice.one(GLOBALS.flatMap((type, i) => (this.#types.includes(type) ? [i] : [])));
        this.#expression(GLOBALS[global] as Type, depth);
        this.#emit(`global.set $g${global}`, 2);
        return;
      }
      case 3:
        this.#expression('i32', depth);
        this.#emit('if', 2);
        this.#depth++;
        this.#statements(depth - 1);
        if (dice.below(2) === 0) {
          this.#emit('else');
          this.#statements(depth - 1);
        }
        this.#depth--;
        this.#emit('end');
        return;
      case 4:
        this.#loop('loop', () => this.#statements(depth - 1));
        return;
      case 5:
        this.#block('block', () => {
          this.#statements(depth - 1);
          if (dice.below(2) === 0) {
            this.#expression('i32', depth);
            this.#emit('br_if 0', 2);
            this.#statements(depth - 1);
          } else {
            this.#emit('br 0', 2);
            this.#leaf('f64');
            this.#emit('drop', 1);
          }
        });
        return;
      case 6: {
        // Out of the function from within: by a branch to it or by `return`.
        this.#expression('i32', depth);
        this.#emit('if', 2);
        this.#depth++;
        for (const result of this.#signature.results) this.#expression(result, depth - 1);
        if (dice.below(2) === 0) this.#emit('return', 1);
        else this.#emit(`br ${this.#depth}`, 2);
        this.#depth--;
        this.#emit('end');
        return;
      }
      case 7: {
        if (this.#signatures.length === 0 || !this.#mayCall()) return;
        const callee = dice.below(this.#signatures.length);
        this.#call(callee, depth);
        for (const result of [...(this.#signatures[callee]?.results ?? [])].reverse()) {
          const locals = this.#assignable().filter((local) => this.#locals[local] === result);
          if (locals.length > 0 && dice.below(4) > 0) this.#emit(`local.set ${dice.one(locals)}`, 1);
          else this.#emit('drop', 1);
        }
        return;
      }
      case 8:
        for (const type of ['f64', 'f32'] as const) this.#expression(type, depth);
        this.#emit('call $see', 5);
        return;
      case 9: {
        const length = dice.one([0, 1, 17, 5000]);
        this.#addressOf(0);
        if (dice.below(2) === 0) {
          this.#emit(`i32.const ${dice.below(256)}`, 1);
          this.#emit(`${this.#address}.const ${length}`, 1);
          this.#emit('memory.fill', 100 + length);
        } else {
          this.#addressOf(0);
          this.#emit(`${this.#address}.const ${length}`, 1);
          this.#emit('memory.copy', 100 + length);
        }
        return;
      }
      case 10:
        this.#expression(this.#float(), depth);
        this.#emit('drop', 1);
        return;
      case 11:
        this.#emit('memory.size', 20);
        this.#emit('drop', 1);
        return;
      case 12:
        this.#emit('nop', 1);
        return;
    }
  }

  // --- functions and the whole --------------------------------------------------------------------------------------

  /** Both versions of a function. */
  #function(index: number, signature: Signature, exported: boolean): [plain: string, reference: string] {
    const dice = this.#dice;
    this.#signature = signature;
    this.#tokens = [];
    this.#depth = 0;
    this.#loops = 0;
    this.#calls = 0;
    const more = Array.from({ length: 3 + dice.below(6) }, () => (dice.below(4) === 0 ? this.#type() : this.#float()));
    const declared: Type[] = ['i32', 'i32', 'i32', ...more];
    this.#locals = [...signature.parameters, ...declared];
    this.#emit('nop', 1);
    for (let left = 2 + dice.below(4); left > 0; left--) this.#statement(3);
    const tail = this.#signatures.findIndex(({ results }) => results.join() === signature.results.join());
    if (this.#options.tailCalls && tail >= 0 && dice.below(3) === 0) {
      for (const parameter of this.#signatures[tail]?.parameters ?? []) this.#expression(parameter, 2);
      if (dice.below(2) === 0) this.#emit(`return_call $f${tail}`, 3);
      else {
        this.#emit(`i32.const ${tail}`, 1);
        this.#emit(`return_call_indirect (type $t${tail})`, 60);
      }
    } else for (const result of signature.results) this.#expression(result, 3);
    const head = `(func $f${index} ${exported ? '(export "run") ' : ''}(type $t${index}) (local ${declared.join(' ')})`;
    const plain = this.#tokens.map(({ text }) => text);
    const counted = (weight: number): string[] =>
      weight === 0 ? [] : [`global.get $count i64.const ${weight} i64.add global.set $count`];
    const reference = this.#tokens.flatMap(({ text, weight, made }) => [
      ...counted(weight),
      text,
      ...(made === undefined ? [] : [`call $canonical_${made}`]),
    ]);
    return [
      `${head}\n${plain.join('\n')})`,
      // A function costs 1 beyond its instructions.
      `${head}\n${[...counted(1), ...reference].join('\n')})`,
    ];
  }

  program(): Program {
    const dice = this.#dice;
    const plain: string[] = [];
    const reference: string[] = [];
    const count = 4;
    const types: string[] = [];
    for (let i = 0; i <= count; i++) {
      const last = i === count;
      const signature: Signature = {
        parameters: last ? [] : Array.from({ length: dice.below(4) }, () => this.#type()),
        results: last ? [] : Array.from({ length: dice.one([0, 1, 1, 1, 2]) }, () => this.#float()),
      };
      const [plainFunction, referenceFunction] = this.#function(i, signature, last);
      plain.push(plainFunction);
      reference.push(referenceFunction);
      this.#signatures.push(signature);
      const list = (of: readonly Type[], kind: string): string => (of.length > 0 ? `(${kind} ${of.join(' ')})` : '');
      types.push(`(type $t${i} (func ${list(signature.parameters, 'param')} ${list(signature.results, 'result')}))`);
    }
    const at = (address: number): string => `(${this.#address}.const ${address})`;
    const globals = GLOBALS.flatMap((type, i) =>
      this.#types.includes(type) ? [`(global $g${i} (mut ${type}) (${this.#zero(type)}))`] : [],
    );
    const spill = GLOBALS.flatMap((type, i) =>
      this.#types.includes(type) ? [`(${type}.store ${at(200_000 + 16 * i)} (global.get $g${i}))`] : [],
    );
    const body = `${types.join('\n')}
      (import "host" "see" (func $see (param f64 f32)))
      (memory (export "memory") ${this.#options.wide ? 'i64' : ''} 4 4)
      (data ${at(0)} "${this.#bytes()}")
      (table funcref (elem ${this.#signatures.map((_, i) => `$f${i}`).join(' ')}))
      ${globals.join('\n')}
      (func (export "spill") ${spill.join('\n')})`;
    return {
      plain: `(module ${body}\n${plain.join('\n')})`,
      reference: `(module ${body}
        (global $count (export "count") (mut i64) (i64.const 0))
        (func $canonical_f32 (param f32) (result f32)
          (select (f32.const nan) (local.get 0) (f32.ne (local.get 0) (local.get 0))))
        (func $canonical_f64 (param f64) (result f64)
          (select (f64.const nan) (local.get 0) (f64.ne (local.get 0) (local.get 0))))
        (func $canonical_f32x4 (param v128) (result v128) (v128.bitselect (local.get 0)
          (v128.const f32x4 nan nan nan nan) (f32x4.eq (local.get 0) (local.get 0))))
        (func $canonical_f64x2 (param v128) (result v128) (v128.bitselect (local.get 0)
          (v128.const f64x2 nan nan) (f64x2.eq (local.get 0) (local.get 0))))
        ${reference.join('\n')})`,
    };
  }

  #zero(type: Type): string {
    return type === 'v128' ? 'v128.const i64x2 0 0' : `${type}.const 0`;
  }

  /** Numbers, and NaNs of both widths with payloads. */
  #bytes(): string {
    const dice = this.#dice;
    let text = '';
    for (let i = 0; i < 300; i++) {
      const bytes = dice.one([
        [1, 0, 0, 0, 0, 0, 0xf8, 0x7f],
        [0xef, 0xbe, 0xad, 0xde, 0x45, 0x23, 0xf1, 0xff],
        [0x45, 0x23, 0xa1, 0xff, 1, 0, 0x80, 0x7f],
        [0, 0, 0x80, 0x3f, 0, 0, 0xc0, 0x7f],
        [0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
        [dice.below(256), dice.below(256), 0, 0, 0, 0, 0, 0],
      ]);
      for (const byte of bytes) text += `\\${byte.toString(16).padStart(2, '0')}`;
    }
    return text;
  }
}
