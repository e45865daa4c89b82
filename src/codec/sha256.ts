import { sha256 as portableSha256 } from '@noble/hashes/sha2.js';

/** Inputs up to here are hashed by `hashShort`: below it a call into the host's library costs more than the hash. */
const SHORT_BYTES = 183;

/** SHA-256 of the concatenation of `parts`: 32 bytes. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const first = parts[0];
  let length = 0;
  for (const part of parts) length += part.length;
  if (length <= SHORT_BYTES) {
    let at = 0;
    for (const part of parts) {
      block.set(part, at);
      at += part.length;
    }
    return hashShort(length);
  }
  if (parts.length === 1 && first !== undefined) return hashLong(first);
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return hashLong(whole);
}

type NativeHash = (algorithm: string, data: Uint8Array, encoding: 'buffer') => Uint8Array;

/** Node's one-shot hash, found without an import so that the module also loads in a browser. */
const nativeHash: NativeHash | undefined = (
  globalThis.process?.getBuiltinModule?.('node:crypto') as { hash?: NativeHash } | undefined
)?.hash;

function hashLong(data: Uint8Array): Uint8Array {
  // A copy: the host returns a Buffer, whose prototype and pooled memory would surprise callers.
  return nativeHash === undefined ? portableSha256(data) : new Uint8Array(nativeHash('sha256', data, 'buffer'));
}

const K = Uint32Array.of(
  0x428a2f98,
  0x71374491,
  0xb5c0fbcf,
  0xe9b5dba5,
  0x3956c25b,
  0x59f111f1,
  0x923f82a4,
  0xab1c5ed5,
  0xd807aa98,
  0x12835b01,
  0x243185be,
  0x550c7dc3,
  0x72be5d74,
  0x80deb1fe,
  0x9bdc06a7,
  0xc19bf174,
  0xe49b69c1,
  0xefbe4786,
  0x0fc19dc6,
  0x240ca1cc,
  0x2de92c6f,
  0x4a7484aa,
  0x5cb0a9dc,
  0x76f988da,
  0x983e5152,
  0xa831c66d,
  0xb00327c8,
  0xbf597fc7,
  0xc6e00bf3,
  0xd5a79147,
  0x06ca6351,
  0x14292967,
  0x27b70a85,
  0x2e1b2138,
  0x4d2c6dfc,
  0x53380d13,
  0x650a7354,
  0x766a0abb,
  0x81c2c92e,
  0x92722c85,
  0xa2bfe8a1,
  0xa81a664b,
  0xc24b8b70,
  0xc76c51a3,
  0xd192e819,
  0xd6990624,
  0xf40e3585,
  0x106aa070,
  0x19a4c116,
  0x1e376c08,
  0x2748774c,
  0x34b0bcb5,
  0x391c0cb3,
  0x4ed8aa4a,
  0x5b9cca4f,
  0x682e6ff3,
  0x748f82ee,
  0x78a5636f,
  0x84c87814,
  0x8cc70208,
  0x90befffa,
  0xa4506ceb,
  0xbef9a3f7,
  0xc67178f2,
);

/** The message being hashed, padded in place; scratch of `hashShort`, never held across calls. */
const block = new Uint8Array(192);
const blockView = new DataView(block.buffer);
const schedule = new Int32Array(64);
const constants = Int32Array.from(K);

/** SHA-256 (FIPS 180-4) of the first `length` bytes of `block`. */
function hashShort(length: number): Uint8Array {
  const blocks = (length + 72) >>> 6;
  block[length] = 0x80;
  block.fill(0, length + 1, blocks * 64 - 4);
  blockView.setUint32(blocks * 64 - 4, length * 8);
  let h0 = 0x6a09e667 | 0;
  let h1 = 0xbb67ae85 | 0;
  let h2 = 0x3c6ef372 | 0;
  let h3 = 0xa54ff53a | 0;
  let h4 = 0x510e527f | 0;
  let h5 = 0x9b05688c | 0;
  let h6 = 0x1f83d9ab | 0;
  let h7 = 0x5be0cd19 | 0;
  const w = schedule;
  for (let offset = 0; offset < blocks * 64; offset += 64) {
    for (let i = 0; i < 16; i++) w[i] = blockView.getInt32(offset + 4 * i);
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15] as number;
      const y = w[i - 2] as number;
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = ((w[i - 16] as number) + s0 + (w[i - 7] as number) + s1) | 0;
    }
    let a = h0;
    let b = h1;
    let c = h2;
    let d = h3;
    let e = h4;
    let f = h5;
    let g = h6;
    let h = h7;
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + (constants[i] as number) + (w[i] as number)) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    h0 = (h0 + a) | 0;
    h1 = (h1 + b) | 0;
    h2 = (h2 + c) | 0;
    h3 = (h3 + d) | 0;
    h4 = (h4 + e) | 0;
    h5 = (h5 + f) | 0;
    h6 = (h6 + g) | 0;
    h7 = (h7 + h) | 0;
  }
  const digest = new Uint8Array(32);
  write(digest, 0, h0);
  write(digest, 4, h1);
  write(digest, 8, h2);
  write(digest, 12, h3);
  write(digest, 16, h4);
  write(digest, 20, h5);
  write(digest, 24, h6);
  write(digest, 28, h7);
  return digest;
}

function write(target: Uint8Array, at: number, word: number): void {
  target[at] = word >>> 24;
  target[at + 1] = word >>> 16;
  target[at + 2] = word >>> 8;
  target[at + 3] = word;
}
