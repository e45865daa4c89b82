import { IDL } from '@icp-sdk/core/candid';
import { CandidSyntaxError } from './candid-syntax-error.ts';

/**
 * The types that a Candid message itself declares (Candid specification, "Serialisation"): for replies of canisters
 * whose interface is unknown. Field names are lost on the wire; their numbers remain (`_4711_`).
 *
 *     "DIDL" | type table: leb n, n × constructed type | leb k, k × type | values
 */
export function wireTypes(message: Uint8Array): IDL.Type[] {
  const reader = new Reader(message);
  if (message[0] !== 0x44 || message[1] !== 0x49 || message[2] !== 0x44 || message[3] !== 0x4c)
    throw new CandidSyntaxError('the bytes are not a Candid message: they do not start with "DIDL"');
  reader.skip(4);
  const knots: IDL.RecClass[] = [];
  const entries: (() => IDL.ConstructType)[] = [];
  const count = reader.count();
  for (let i = 0; i < count; i++) knots.push(IDL.Rec());
  const reference = (index: number): IDL.Type => {
    const type = index < 0 ? PRIMITIVES[-index - 1] : knots[index];
    if (type === undefined) throw new CandidSyntaxError(`the Candid message names an unknown type ${index}`);
    return type;
  };
  for (let i = 0; i < count; i++) entries.push(constructed(reader, reference));
  for (const [index, entry] of entries.entries()) knots[index]?.fill(entry());
  const types: IDL.Type[] = [];
  for (let k = reader.count(); k > 0; k--) types.push(reference(reader.signed()));
  return types;
}

const PRIMITIVES: readonly (IDL.Type | undefined)[] = [
  IDL.Null,
  IDL.Bool,
  IDL.Nat,
  IDL.Int,
  IDL.Nat8,
  IDL.Nat16,
  IDL.Nat32,
  IDL.Nat64,
  IDL.Int8,
  IDL.Int16,
  IDL.Int32,
  IDL.Int64,
  IDL.Float32,
  IDL.Float64,
  IDL.Text,
  IDL.Reserved,
  IDL.Empty,
  undefined,
  undefined,
  undefined,
  undefined,
  undefined,
  undefined,
  IDL.Principal,
];

function constructed(reader: Reader, reference: (index: number) => IDL.Type): () => IDL.ConstructType {
  const opcode = reader.signed();
  switch (opcode) {
    case -18:
    case -19: {
      const of = reader.signed();
      return () => (opcode === -18 ? IDL.Opt(reference(of)) : IDL.Vec(reference(of)));
    }
    case -20:
    case -21: {
      const fields: [number, number][] = [];
      for (let n = reader.count(); n > 0; n--) fields.push([reader.count(), reader.signed()]);
      return () => {
        if (opcode === -20 && fields.length > 0 && fields.every(([id], index) => id === index))
          return IDL.Tuple(...fields.map(([, type]) => reference(type)));
        const types = Object.fromEntries(fields.map(([id, type]) => [`_${id}_`, reference(type)]));
        return opcode === -20 ? IDL.Record(types) : IDL.Variant(types);
      };
    }
    case -22: {
      const args = reader.signedList();
      const results = reader.signedList();
      const annotations: string[] = [];
      for (let n = reader.count(); n > 0; n--)
        annotations.push(['query', 'oneway', 'composite_query'][reader.byte() - 1] ?? '');
      return () =>
        IDL.Func(
          args.map(reference) as IDL.GenericIdlFuncArgs,
          results.map(reference) as IDL.GenericIdlFuncRets,
          annotations,
        );
    }
    case -23: {
      for (let n = reader.count(); n > 0; n--) {
        reader.skip(reader.count());
        reader.signed();
      }
      // The methods of a service reference do not matter to print it.
      return () => IDL.Service({});
    }
    default:
      throw new CandidSyntaxError(`the Candid message uses an unknown type constructor ${opcode}`);
  }
}

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new CandidSyntaxError('the Candid message is cut off');
    return byte;
  }

  skip(count: number): void {
    this.#at += count;
  }

  /** Unsigned LEB128 below 2^32. */
  count(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value += (byte & 127) * 2 ** shift;
      if (value >= 2 ** 32) throw new CandidSyntaxError('the Candid message holds a number that is too large');
      if (byte < 128) return value;
    }
  }

  /** Signed LEB128 of at most five bytes. */
  signed(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return byte & 64 ? value - 2 ** (shift + 7) : value;
    }
    throw new CandidSyntaxError('the Candid message holds a number that is too large');
  }

  signedList(): number[] {
    const list: number[] = [];
    for (let n = this.count(); n > 0; n--) list.push(this.signed());
    return list;
  }
}
