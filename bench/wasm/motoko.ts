/**
 * What the passes cost a real Motoko program: the same update of the same module, raw and rewritten, in one process,
 * interleaved; ratios of the minima. `node bench/wasm/motoko.ts [rounds]`. The System API is a stub that serves one
 * argument and drops the reply.
 */
import { compile, createInstance, DirtyMap, I64, readModule } from '../../src/wasm/index.ts';
import { motokoProgram, type Persistence } from '../../test/motoko-programs/index.ts';

const rounds = Number(process.argv[2] ?? 40);
const ARGUMENT = Uint8Array.from([0x44, 0x49, 0x44, 0x4c, 0, 0]);
const map = new DirtyMap();
const VARIANTS = { most: { canonicalNaN: false }, all: {} } as const;

console.log(
  '| Motoko, merge sort of 20,000 numbers | raw ms | every pass but the NaN rule | every pass |\n|---|---:|---:|---:|',
);
for (const persistence of ['classic', 'enhanced'] as const) {
  const runs = new Map<string, () => void>();
  const bytes = await motokoProgram('sorting', persistence);
  runs.set('raw', prepared(bytes, persistence, undefined));
  for (const [name, options] of Object.entries(VARIANTS)) runs.set(name, prepared(bytes, persistence, options));
  const best = new Map<string, number>();
  for (let round = 0; round < rounds; round++) {
    const order = [...runs];
    if (round % 2 === 1) order.reverse();
    for (const [name, run] of order) {
      const begun = performance.now();
      run();
      const ms = performance.now() - begun;
      if (round >= rounds / 4) best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, ms));
    }
  }
  const raw = best.get('raw') ?? Number.NaN;
  const ratio = (name: string): string => ((best.get(name) ?? Number.NaN) / raw).toFixed(2);
  console.log(
    `| ${persistence}, ${persistence === 'classic' ? 32 : 64} bit | ${raw.toFixed(2)} | ${ratio('most')} | ${ratio('all')} |`,
  );
}

/** A function that runs the update once. */
function prepared(bytes: Uint8Array<ArrayBuffer>, persistence: Persistence, options: object | undefined): () => void {
  let memory: WebAssembly.Memory | undefined;
  const word = (n: number): number | bigint => (persistence === 'enhanced' ? BigInt(n) : n);
  const special: Record<string, (...args: (number | bigint)[]) => number | bigint | undefined> = {
    msg_arg_data_size: () => word(ARGUMENT.length),
    msg_arg_data_copy: (to) => {
      new Uint8Array((memory as WebAssembly.Memory).buffer).set(ARGUMENT, Number(to));
      return undefined;
    },
  };
  const functions: Record<string, (...args: (number | bigint)[]) => number | bigint | undefined> = {};
  const module = readModule(bytes);
  for (const item of module.imports) {
    if (item.kind !== 'function') continue;
    const result = module.types[item.type]?.results[0];
    functions[item.name] = special[item.name] ?? (() => (result === undefined ? undefined : result === I64 ? 0n : 0));
  }
  const imports = { ic0: functions };
  const exports: WebAssembly.Exports =
    options === undefined
      ? new WebAssembly.Instance(new WebAssembly.Module(bytes), imports).exports
      : rewritten(bytes, imports, options);
  memory = exports['mem'] as WebAssembly.Memory;
  (exports['canister_init'] as () => void)();
  return exports['canister_update work'] as () => void;
}

function rewritten(bytes: Uint8Array, imports: WebAssembly.Imports, options: object): WebAssembly.Exports {
  const compiled = compile(bytes, options);
  const { minimum } = compiled.heapPages;
  const heap = new WebAssembly.Memory(
    (compiled.memory64
      ? { address: 'i64', initial: minimum }
      : { initial: Number(minimum) }) as WebAssembly.MemoryDescriptor,
  );
  const instance = createInstance(compiled, {
    heap,
    map,
    imports,
    applyData: true,
    outOfInstructions: () => {
      throw new Error('the budget is meant to suffice');
    },
    growMemory: () => true,
  });
  instance.instructions = 10n ** 15n;
  instance.start?.();
  return instance.exports;
}
