/**
 * A principal: 0 to 29 bytes that name a user, a canister, a subnet or a node (interface spec, "Principals").
 * Values are immutable; `key` is the canonical map key, `compare` the canonical order (bytes, lexicographic).
 */
export class Principal {
  readonly bytes: Uint8Array;
  /** Lower-case hex of `bytes`: the key of every map that is indexed by principal. */
  readonly key: string;

  private constructor(bytes: Uint8Array, key: string) {
    this.bytes = bytes;
    this.key = key;
  }

  /** @throws RangeError when `bytes` is longer than 29. The bytes are copied. */
  static fromBytes(bytes: Uint8Array): Principal {
    if (bytes.length > 29) throw new RangeError(`a principal has at most 29 bytes, not ${bytes.length}`);
    const copy = Uint8Array.from(bytes);
    return new Principal(copy, toHex(copy));
  }

  static fromKey(key: string): Principal {
    const bytes = new Uint8Array(key.length / 2);
    for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(key.slice(2 * i, 2 * i + 2), 16);
    return Principal.fromBytes(bytes);
  }

  /** Reads the textual form `aaaaa-aa`. @throws TypeError when it is malformed or its checksum is wrong. */
  static fromText(text: string): Principal {
    const compact = text.toLowerCase().replaceAll('-', '');
    const out: number[] = [];
    let buffer = 0;
    let bits = 0;
    for (const character of compact) {
      const value = ALPHABET.indexOf(character);
      if (value < 0) throw new TypeError(`"${text}" is not a principal: unexpected character "${character}"`);
      buffer = ((buffer << 5) | value) & 0xfff;
      bits += 5;
      if (bits >= 8) {
        bits -= 8;
        out.push((buffer >> bits) & 0xff);
      }
    }
    if (out.length < 4) throw new TypeError(`"${text}" is not a principal: it is too short`);
    if (out.length > 33) throw new TypeError(`"${text}" is not a principal: it is too long`);
    const principal = Principal.fromBytes(Uint8Array.from(out.slice(4)));
    if (principal.toText() !== text.toLowerCase())
      throw new TypeError(`"${text}" is not a principal: wrong checksum or grouping`);
    return principal;
  }

  toText(): string {
    const withChecksum = new Uint8Array(this.bytes.length + 4);
    new DataView(withChecksum.buffer).setUint32(0, crc32(this.bytes));
    withChecksum.set(this.bytes, 4);
    let text = '';
    let buffer = 0;
    let bits = 0;
    for (const byte of withChecksum) {
      buffer = ((buffer << 8) | byte) & 0xfff;
      bits += 8;
      while (bits >= 5) {
        bits -= 5;
        text += ALPHABET[(buffer >> bits) & 31];
      }
    }
    if (bits > 0) text += ALPHABET[(buffer << (5 - bits)) & 31];
    return text.replace(/(.{5})(?=.)/g, '$1-');
  }

  toString(): string {
    return this.toText();
  }

  equals(other: Principal): boolean {
    return this.key === other.key;
  }

  get isAnonymous(): boolean {
    return this.key === '04';
  }

  get isManagementCanister(): boolean {
    return this.key === '';
  }

  /** Opaque ids (canisters and subnets-by-number) end in 0x01. */
  get isOpaque(): boolean {
    return this.bytes.at(-1) === 1;
  }

  get isSelfAuthenticating(): boolean {
    return this.bytes.length === 29 && this.bytes[28] === 2;
  }
}

/** Orders principals by their bytes, lexicographically (hex keeps that order; a prefix comes first). */
export function comparePrincipals(a: Principal, b: Principal): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}

export const ANONYMOUS: Principal = Principal.fromBytes(Uint8Array.of(4));
/** `aaaaa-aa`, the empty principal. */
export const MANAGEMENT_CANISTER: Principal = Principal.fromBytes(new Uint8Array(0));

/** The canister id of a number: 8 bytes big-endian, then 0x01 0x01. */
export function canisterIdFromNumber(n: bigint): Principal {
  const bytes = new Uint8Array(10);
  new DataView(bytes.buffer).setBigUint64(0, n);
  bytes[8] = 1;
  bytes[9] = 1;
  return Principal.fromBytes(bytes);
}

/** The inverse of `canisterIdFromNumber`; undefined when `id` has another form. */
export function canisterIdToNumber(id: Principal): bigint | undefined {
  const b = id.bytes;
  if (b.length !== 10 || b[8] !== 1 || b[9] !== 1) return undefined;
  return new DataView(b.buffer, b.byteOffset, 10).getBigUint64(0);
}

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

function toHex(bytes: Uint8Array): string {
  let hex = '';
  for (const byte of bytes) hex += (byte < 16 ? '0' : '') + byte.toString(16);
  return hex;
}

function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
