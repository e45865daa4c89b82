import { setFlagsFromString } from 'node:v8';

/**
 * Sets flags of V8. Flags about stacks and code generation count only for what is compiled and started afterwards, so
 * this runs before the first WebAssembly module and before the first thread.
 */
export function setEngineFlags(flags: readonly string[]): void {
  for (const flag of flags) setFlagsFromString(flag);
}
