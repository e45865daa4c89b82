import { sha256, toHex } from '../codec/index.ts';
import type { Limits } from '../model/index.ts';
import {
  CanisterModuleError,
  type CanisterModuleInfo,
  type CompiledModule,
  compile,
  moduleTooLarge,
  notRewritable,
  readFunctionNames,
  undecodable,
  validateCanisterModule,
  WasmError,
} from '../wasm/index.ts';
import { ModuleRefused, type PreparedModule } from './contract.ts';

/** A prepared module with what only the sandbox needs of it. */
export interface LoadedModule extends PreparedModule {
  readonly compiled: CompiledModule;
  /** The functions of `ic0` that it imports. */
  readonly systemFunctions: readonly string[];
  /** It has names for its functions, so backtraces are worth taking. */
  readonly named: boolean;
  /** Entry points that used up a slice when they ran last: they start on a stack that can be suspended. */
  readonly longRunning: Set<string>;
}

/** Modules by the hash of their uploaded bytes, the most recently used ones. */
export class ModuleCache {
  readonly #limits: Limits;
  readonly #capacity: number;
  readonly #byHash: Map<string, LoadedModule> = new Map();

  constructor(limits: Limits, capacity: number) {
    this.#limits = limits;
    this.#capacity = capacity;
  }

  /** @throws ModuleRefused */
  prepare(uploaded: Uint8Array): LoadedModule {
    const hash = toHex(sha256(uploaded));
    const known = this.#byHash.get(hash);
    const loaded = known ?? load(hash, uploaded, this.#limits);
    this.#byHash.delete(hash);
    this.#byHash.set(hash, loaded);
    if (this.#byHash.size > this.#capacity) {
      for (const oldest of this.#byHash.keys()) {
        this.#byHash.delete(oldest);
        break;
      }
    }
    return loaded;
  }
}

function load(hash: string, uploaded: Uint8Array, limits: Limits): LoadedModule {
  try {
    const bytes = decompressed(uploaded, limits);
    const info = validateCanisterModule(bytes, limits);
    return {
      hash,
      uploadedBytes: uploaded.length,
      memory64: info.memory64,
      updateMethods: info.updateMethods,
      queryMethods: info.queryMethods,
      compositeQueryMethods: info.compositeQueryMethods,
      entryPoints: info.entryPoints,
      customSections: info.customSections,
      compileInstructions: info.compileInstructions,
      compiled: compile(bytes, { stackBytes: limits.stackBytes, tableElementsMax: limits.tableElements }),
      systemFunctions: systemFunctionsOf(info),
      named: readFunctionNames(info.module).size > 0,
      longRunning: new Set(),
    };
  } catch (error) {
    if (error instanceof WasmError) throw new ModuleRefused(notRewritable(error).userError);
    if (error instanceof CanisterModuleError) throw new ModuleRefused(error.userError);
    if (error instanceof WasmError) throw new ModuleRefused(notRewritable(error).userError);
    throw error;
  }
}

function systemFunctionsOf(info: CanisterModuleInfo): string[] {
  return [...new Set(info.module.imports.filter((i) => i.module === 'ic0').map((i) => i.name))];
}

type Gunzip = (stream: Uint8Array, options: { readonly maxOutputLength: number }) => Uint8Array;

/** The host's decompression, found without an import so that the module also loads where there is none. */
const gunzip: Gunzip =
  (globalThis.process?.getBuiltinModule?.('node:zlib') as { gunzipSync?: Gunzip } | undefined)?.gunzipSync ??
  (() => {
    throw new Error('this host cannot decompress modules');
  });

/** The module itself: uploads may be gzip streams. The size is bounded while it is unpacked, not after. */
function decompressed(uploaded: Uint8Array, limits: Limits): Uint8Array {
  const gzip = uploaded[0] === 0x1f && uploaded[1] === 0x8b && uploaded[2] === 0x08;
  if (!gzip) return uploaded;
  try {
    const bytes = gunzip(uploaded, { maxOutputLength: limits.moduleBytes });
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  } catch (error) {
    if (error instanceof RangeError) throw moduleTooLarge(announcedSize(uploaded), limits.moduleBytes);
    throw undecodable('failed to decode compressed Wasm module');
  }
}

/** The size of the content, which a gzip stream repeats in its last four bytes. */
function announcedSize(stream: Uint8Array): number {
  return new DataView(stream.buffer, stream.byteOffset, stream.length).getUint32(stream.length - 4, true);
}
