import { IDL } from '@icp-sdk/core/candid';
import { CandidSyntaxError } from './candid-syntax-error.ts';
import { TokenStream } from './token-stream.ts';

/** What a .did text says: the methods of its service and, for a service constructor, the install arguments. */
export interface InterfaceDescription {
  readonly methods: ReadonlyMap<string, IDL.FuncClass>;
  /** Types of the install argument; empty when the service takes none. */
  readonly initTypes: readonly IDL.Type[];
}

/** A type as it is written: names are not yet looked up, because definitions may be used before they are made. */
type TypeSyntax =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'opt' | 'vec'; readonly of: TypeSyntax }
  | { readonly kind: 'record' | 'variant'; readonly fields: readonly FieldSyntax[] }
  | { readonly kind: 'func'; readonly func: FuncSyntax }
  | { readonly kind: 'service'; readonly methods: readonly { readonly name: string; readonly type: TypeSyntax }[] };

interface FieldSyntax {
  readonly label: string | number;
  readonly type: TypeSyntax;
}

interface FuncSyntax {
  readonly args: readonly TypeSyntax[];
  readonly results: readonly TypeSyntax[];
  readonly annotations: readonly string[];
}

const PRIMITIVES: ReadonlyMap<string, IDL.Type> = new Map<string, IDL.Type>([
  ['null', IDL.Null],
  ['bool', IDL.Bool],
  ['nat', IDL.Nat],
  ['int', IDL.Int],
  ['nat8', IDL.Nat8],
  ['nat16', IDL.Nat16],
  ['nat32', IDL.Nat32],
  ['nat64', IDL.Nat64],
  ['int8', IDL.Int8],
  ['int16', IDL.Int16],
  ['int32', IDL.Int32],
  ['int64', IDL.Int64],
  ['float32', IDL.Float32],
  ['float64', IDL.Float64],
  ['text', IDL.Text],
  ['reserved', IDL.Reserved],
  ['empty', IDL.Empty],
  ['principal', IDL.Principal],
  ['blob', IDL.Vec(IDL.Nat8)],
]);

/**
 * Reads a .did text (Candid specification, "Core grammar"). Imports are refused: a canister's `candid:service` never
 * has any.
 * @throws CandidSyntaxError
 */
export function parseInterface(text: string): InterfaceDescription {
  const stream = new TokenStream(text);
  const definitions = new Map<string, TypeSyntax>();
  let actor: { readonly init: readonly TypeSyntax[]; readonly service: TypeSyntax } | undefined;
  while (stream.peek().kind !== 'end') {
    if (stream.take('type')) {
      const name = stream.name();
      if (definitions.has(name)) throw new CandidSyntaxError(`the type ${name} is defined twice`);
      stream.expect('=');
      definitions.set(name, dataType(stream));
    } else if (stream.take('import')) {
      throw new CandidSyntaxError('imports are not supported: put the imported definitions into the file');
    } else if (stream.take('service')) {
      actor = actorType(stream);
    } else stream.fail('"type" or "service"');
    if (!stream.take(';') && stream.peek().kind !== 'end') stream.fail('";"');
  }
  const resolver = new TypeResolver(definitions);
  for (const name of definitions.keys()) resolver.resolve({ kind: 'name', name });
  if (actor === undefined) return { methods: new Map(), initTypes: [] };
  const service = resolver.resolve(actor.service);
  return {
    methods: new Map(methodsOf(service)),
    initTypes: actor.init.map((type) => resolver.resolve(type)),
  };
}

/** Reads one type where a value is annotated (`5 : nat8`): no definitions are at hand. */
export function parseType(stream: TokenStream): IDL.Type {
  return new TypeResolver(new Map()).resolve(dataType(stream));
}

function actorType(stream: TokenStream): { init: readonly TypeSyntax[]; service: TypeSyntax } {
  if (!stream.at(':')) stream.name();
  stream.expect(':');
  let init: readonly TypeSyntax[] = [];
  if (stream.at('(')) {
    init = tupleType(stream);
    stream.expect('->');
  }
  if (stream.at('{')) return { init, service: serviceType(stream) };
  return { init, service: { kind: 'name', name: stream.name() } };
}

function serviceType(stream: TokenStream): TypeSyntax {
  const methods: { name: string; type: TypeSyntax }[] = [];
  stream.expect('{');
  while (!stream.take('}')) {
    const name = stream.name();
    stream.expect(':');
    methods.push({
      name,
      type: stream.at('(') ? { kind: 'func', func: functionType(stream) } : { kind: 'name', name: stream.name() },
    });
    if (!stream.take(';') && !stream.at('}')) stream.fail('";" or "}"');
  }
  return { kind: 'service', methods };
}

function functionType(stream: TokenStream): FuncSyntax {
  const args = tupleType(stream);
  stream.expect('->');
  const results = tupleType(stream);
  const annotations: string[] = [];
  for (const word of ['query', 'oneway', 'composite_query', 'query', 'oneway'])
    if (stream.take(word)) annotations.push(word);
  return { args, results, annotations };
}

function tupleType(stream: TokenStream): TypeSyntax[] {
  const types: TypeSyntax[] = [];
  stream.expect('(');
  while (!stream.take(')')) {
    const named = stream.at(':', 1);
    if (named) {
      stream.name();
      stream.expect(':');
    }
    types.push(dataType(stream));
    if (!stream.take(',') && !stream.at(')')) stream.fail('"," or ")"');
  }
  return types;
}

function dataType(stream: TokenStream): TypeSyntax {
  if (stream.take('opt')) return { kind: 'opt', of: dataType(stream) };
  if (stream.take('vec')) return { kind: 'vec', of: dataType(stream) };
  if (stream.take('record')) return { kind: 'record', fields: fields(stream, false) };
  if (stream.take('variant')) return { kind: 'variant', fields: fields(stream, true) };
  if (stream.take('func')) return { kind: 'func', func: functionType(stream) };
  if (stream.take('service')) return serviceType(stream);
  const token = stream.peek();
  if (token.kind !== 'word') stream.fail('a type');
  return { kind: 'name', name: stream.name() };
}

function fields(stream: TokenStream, variant: boolean): FieldSyntax[] {
  const out: FieldSyntax[] = [];
  let nextPosition = 0;
  stream.expect('{');
  while (!stream.take('}')) {
    const token = stream.peek();
    if (stream.at(':', 1) || token.kind === 'text' || (variant && token.kind !== 'symbol')) {
      const label = fieldLabel(stream);
      const type: TypeSyntax = stream.take(':') ? dataType(stream) : { kind: 'name', name: 'null' };
      out.push({ label, type });
      if (typeof label === 'number') nextPosition = label + 1;
    } else {
      out.push({ label: nextPosition++, type: dataType(stream) });
    }
    if (!stream.take(';') && !stream.at('}')) stream.fail('";" or "}"');
  }
  return out;
}

/** A field's label: a name, or a number (the hash of a name, or a position). */
export function fieldLabel(stream: TokenStream): string | number {
  const token = stream.peek();
  if (token.kind !== 'number') return stream.name();
  stream.next();
  const label = Number(token.text.replaceAll('_', ''));
  if (!Number.isInteger(label) || label < 0 || label >= 2 ** 32) stream.fail('a field number below 2^32', token);
  return label;
}

/** The key under which the IDL library keeps a field. */
export function fieldKey(label: string | number): string {
  return typeof label === 'number' ? `_${label}_` : label;
}

/** Looks names up; a type that contains itself becomes an IDL.Rec, others stay plain. */
class TypeResolver {
  readonly #definitions: ReadonlyMap<string, TypeSyntax>;
  readonly #done = new Map<string, IDL.Type>();
  readonly #open = new Map<string, IDL.RecClass | undefined>();

  constructor(definitions: ReadonlyMap<string, TypeSyntax>) {
    this.#definitions = definitions;
  }

  resolve(syntax: TypeSyntax): IDL.Type {
    switch (syntax.kind) {
      case 'name':
        return this.#named(syntax.name);
      case 'opt':
        return IDL.Opt(this.resolve(syntax.of));
      case 'vec':
        return IDL.Vec(this.resolve(syntax.of));
      case 'record': {
        const positional = syntax.fields.every((field, index) => field.label === index);
        if (positional && syntax.fields.length > 0)
          return IDL.Tuple(...syntax.fields.map((field) => this.resolve(field.type)));
        return IDL.Record(this.#fields(syntax.fields));
      }
      case 'variant':
        return IDL.Variant(this.#fields(syntax.fields));
      case 'func':
        return IDL.Func(
          syntax.func.args.map((type) => this.resolve(type)) as IDL.GenericIdlFuncArgs,
          syntax.func.results.map((type) => this.resolve(type)) as IDL.GenericIdlFuncRets,
          [...syntax.func.annotations],
        );
      case 'service': {
        const methods: Record<string, IDL.FuncClass> = {};
        for (const method of syntax.methods) methods[method.name] = asFunction(this.resolve(method.type), method.name);
        return IDL.Service(methods);
      }
    }
  }

  #fields(fields: readonly FieldSyntax[]): Record<string, IDL.Type> {
    const out: Record<string, IDL.Type> = {};
    for (const field of fields) {
      const key = fieldKey(field.label);
      if (key in out) throw new CandidSyntaxError(`the field ${field.label} appears twice`);
      out[key] = this.resolve(field.type);
    }
    return out;
  }

  #named(name: string): IDL.Type {
    const known = this.#done.get(name);
    if (known !== undefined) return known;
    const definition = this.#definitions.get(name);
    if (definition === undefined) {
      const primitive = PRIMITIVES.get(name);
      if (primitive === undefined) throw new CandidSyntaxError(`the type ${name} is not defined`);
      return primitive;
    }
    if (this.#open.has(name)) {
      const knot = this.#open.get(name) ?? IDL.Rec();
      this.#open.set(name, knot);
      return knot;
    }
    this.#open.set(name, undefined);
    const type = this.resolve(definition);
    const knot = this.#open.get(name);
    this.#open.delete(name);
    if (knot === undefined) {
      this.#done.set(name, type);
      return type;
    }
    if (type === knot) throw new CandidSyntaxError(`the type ${name} is defined as itself`);
    knot.fill(type as IDL.ConstructType);
    this.#done.set(name, knot);
    return knot;
  }
}

function unknotted(type: IDL.Type): IDL.Type {
  return type instanceof IDL.RecClass ? (type.getType() ?? type) : type;
}

function asFunction(type: IDL.Type, method: string): IDL.FuncClass {
  const plain = unknotted(type);
  if (plain instanceof IDL.FuncClass) return plain;
  throw new CandidSyntaxError(`the method ${method} is not of a function type`);
}

function methodsOf(type: IDL.Type): [string, IDL.FuncClass][] {
  const plain = unknotted(type);
  if (plain instanceof IDL.ServiceClass) return plain._fields;
  throw new CandidSyntaxError('what follows "service :" is not a service type');
}
