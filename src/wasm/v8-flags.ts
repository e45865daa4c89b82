/**
 * V8 flags that whoever creates threads sets before the first one starts (`v8.setFlagsFromString`), each on its own.
 * Branch hints cost speed when absent, nothing else. The stacks must hold twice the stack limit, plain and suspendable
 * ones alike; either flag alone does nothing for the latter. Worker threads need a `stackSizeMb` larger than that.
 */
export function v8Flags(stackBytes: number): string[] {
  const kib = Math.ceil((2 * stackBytes) / 1024);
  return ['--experimental-wasm-branch-hinting', `--stack-size=${kib}`, `--wasm-stack-switching-stack-size=${kib}`];
}
