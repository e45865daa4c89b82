import { type Batch, type Ingress, type OperatorDecision, Principal } from '../model/index.ts';
import { ByteReader, type ByteWriter } from './byte-cursor.ts';

/** What followed from a batch: enough to prove at replay that the same followed again. */
export interface Outcome {
  readonly height: number;
  readonly stateHash: Uint8Array;
  /** Digest of each canister that changed, by principal key, sorted. */
  readonly canisterDigests: readonly (readonly [string, Uint8Array])[];
}

/** Writes the payload of a batch record (docs/internals/data-layout.md, 3); the height is in the record's header. */
export function encodeBatch(batch: Batch, to: ByteWriter): void {
  to.u32(batch.protocolVersion);
  to.u32(batch.registryVersion);
  to.u64(batch.time);
  if (batch.randomness.length !== 32) throw new RangeError('the randomness of a batch has 32 bytes');
  to.put(batch.randomness);
  to.u8(batch.checkpoint ? 1 : 0);
  to.u32(batch.ingress.length);
  for (const message of batch.ingress) encodeIngress(message, to);
  to.u32(batch.operatorDecisions.length);
  for (const decision of batch.operatorDecisions) {
    if (decision.kind === 'skip_message') {
      to.u8(1);
      to.text(decision.canisterKey);
      to.text(decision.reason);
    } else {
      to.u8(2);
      to.i64(decision.nanos);
    }
  }
}

/** @throws RangeError or TypeError when the bytes are not a batch */
export function decodeBatch(height: number, payload: Uint8Array): Batch {
  const from = new ByteReader(payload);
  const protocolVersion = from.u32();
  const registryVersion = from.u32();
  const time = from.u64();
  const randomness = from.take(32);
  const flags = from.u8();
  if (flags > 1) throw new RangeError(`unknown flags ${flags}`);
  const ingress: Ingress[] = [];
  for (let count = from.u32(); count > 0; count--) ingress.push(decodeIngress(from));
  const operatorDecisions: OperatorDecision[] = [];
  for (let count = from.u32(); count > 0; count--) {
    const kind = from.u8();
    if (kind === 1) operatorDecisions.push({ kind: 'skip_message', canisterKey: from.text(), reason: from.text() });
    else if (kind === 2) operatorDecisions.push({ kind: 'set_time_offset', nanos: from.i64() });
    else throw new RangeError(`unknown operator decision ${kind}`);
  }
  demandEnd(from);
  return {
    height,
    protocolVersion,
    registryVersion,
    time,
    randomness,
    checkpoint: flags === 1,
    ingress,
    operatorDecisions,
  };
}

export function encodeOutcome(outcome: Outcome, to: ByteWriter): void {
  to.put(outcome.stateHash);
  to.u32(outcome.canisterDigests.length);
  for (const [canister, digest] of outcome.canisterDigests) {
    to.text(canister);
    to.put(digest);
  }
}

/** @throws RangeError or TypeError when the bytes are not an outcome */
export function decodeOutcome(height: number, payload: Uint8Array): Outcome {
  const from = new ByteReader(payload);
  const stateHash = from.take(32);
  const canisterDigests: (readonly [string, Uint8Array])[] = [];
  for (let count = from.u32(); count > 0; count--) canisterDigests.push([from.text(), from.take(32)]);
  demandEnd(from);
  return { height, stateHash, canisterDigests };
}

const HAS_NONCE = 1;
const HAS_SENDER_INFO = 2;

function encodeIngress(message: Ingress, to: ByteWriter): void {
  if (message.requestId.length !== 32) throw new RangeError('a request id has 32 bytes');
  to.put(message.requestId);
  encodePrincipal(message.sender, to);
  encodePrincipal(message.canisterId, to);
  encodePrincipal(message.effectiveCanisterId, to);
  to.text(message.methodName);
  to.blob(message.arg);
  to.u64(message.ingressExpiry);
  to.u32(message.sizeBytes);
  to.u8((message.nonce === undefined ? 0 : HAS_NONCE) | (message.senderInfo === undefined ? 0 : HAS_SENDER_INFO));
  if (message.nonce !== undefined) to.blob(message.nonce);
  if (message.senderInfo !== undefined) {
    to.blob(message.senderInfo.info);
    encodePrincipal(message.senderInfo.signer, to);
  }
}

function decodeIngress(from: ByteReader): Ingress {
  const requestId = from.take(32);
  const sender = decodePrincipal(from);
  const canisterId = decodePrincipal(from);
  const effectiveCanisterId = decodePrincipal(from);
  const methodName = from.text();
  const arg = from.blob();
  const ingressExpiry = from.u64();
  const sizeBytes = from.u32();
  const flags = from.u8();
  if (flags > 3) throw new RangeError(`unknown flags ${flags}`);
  return {
    requestId,
    sender,
    canisterId,
    methodName,
    arg,
    ingressExpiry,
    effectiveCanisterId,
    sizeBytes,
    ...((flags & HAS_NONCE) === 0 ? {} : { nonce: from.blob() }),
    ...((flags & HAS_SENDER_INFO) === 0 ? {} : { senderInfo: { info: from.blob(), signer: decodePrincipal(from) } }),
  };
}

function encodePrincipal(principal: Principal, to: ByteWriter): void {
  to.u8(principal.bytes.length);
  to.put(principal.bytes);
}

function decodePrincipal(from: ByteReader): Principal {
  return Principal.fromBytes(from.take(from.u8()));
}

function demandEnd(from: ByteReader): void {
  if (from.left !== 0) throw new RangeError(`${from.left} bytes too many`);
}
