import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { CliError, ExitCode } from './cli-error.ts';

/** A module ready to be sent. */
export interface CanisterModule {
  /** As it is installed, gzip or plain. */
  readonly bytes: Uint8Array;
  /** SHA-256 of `bytes`, hex: the canister's module hash. */
  readonly hash: string;
  /** Names of `icp:public` and `icp:private` sections; empty for gzip, which is sent unread. */
  readonly sections: readonly string[];
}

/** Modules above this go as gzip, and in chunks if that does not help: one call carries 2 MiB. */
const ONE_CALL_BYTES = 1_900_000;

/**
 * Prepares a module: adds the Candid interface as a public section when the module has none, compresses what is large.
 * @throws CliError when the bytes are no WebAssembly.
 */
export function prepareModule(bytes: Uint8Array, file: string, candid: string | undefined): CanisterModule {
  const gzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
  if (gzip) return { bytes, hash: sha256(bytes), sections: [] };
  if (Buffer.from(bytes.subarray(0, 4)).toString('latin1') !== '\0asm')
    throw new CliError('not_wasm', ExitCode.Input, `${file} is not a WebAssembly module`, {
      why: 'it starts neither with "\\0asm" nor as gzip',
      fix: 'compile it first (a .mo file is compiled by deploy itself)',
    });
  let prepared = bytes;
  const sections = customSections(bytes);
  if (candid !== undefined && !sections.some((name) => name.endsWith(' candid:service'))) {
    prepared = withSection(bytes, 'icp:public candid:service', new TextEncoder().encode(candid));
    sections.push('icp:public candid:service');
  }
  const sent = prepared.length > ONE_CALL_BYTES ? Uint8Array.from(gzipSync(prepared, { level: 9 })) : prepared;
  return { bytes: sent, hash: sha256(sent), sections };
}

export function needsChunks(module: CanisterModule, argumentBytes: number): boolean {
  return module.bytes.length + argumentBytes > ONE_CALL_BYTES;
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Names of the custom sections. Stops at what it cannot read: the network will say what is wrong with it. */
function customSections(bytes: Uint8Array): string[] {
  const names: string[] = [];
  let at = 8;
  while (at < bytes.length) {
    const id = bytes[at];
    const size = leb(bytes, at + 1);
    const end = size.end + size.value;
    if (id === 0) {
      const length = leb(bytes, size.end);
      names.push(Buffer.from(bytes.subarray(length.end, length.end + length.value)).toString('utf8'));
    }
    if (end <= at) break;
    at = end;
  }
  return names;
}

function leb(bytes: Uint8Array, start: number): { value: number; end: number } {
  let value = 0;
  let at = start;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = bytes[at++] ?? 0;
    value += (byte & 127) * 2 ** shift;
    if (byte < 128) break;
  }
  return { value, end: at };
}

function withSection(bytes: Uint8Array, name: string, content: Uint8Array): Uint8Array {
  const nameBytes = new TextEncoder().encode(name);
  const body = [...unsigned(nameBytes.length), ...nameBytes, ...content];
  return Uint8Array.from([...bytes, 0, ...unsigned(body.length), ...body]);
}

function unsigned(value: number): number[] {
  const out: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...out, rest];
    out.push((rest % 128) | 128);
  }
}
