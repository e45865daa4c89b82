/**
 * What codec and certification cost, one operation after the other on one thread:
 * `node --expose-gc bench/certification/run.ts [--milliseconds N]`. Prints a table of processor time; figures of one
 * machine are in `bench/results/certification.md`.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import os from 'node:os';
import { parseArgs } from 'node:util';
import {
  blsSecretKeyFromSeed,
  createBlsSigner,
  createPlainVerifier,
  encodeCertificate,
  LabelledTree,
  loadBlsVerifier,
  pathOf,
  publicKeyFromDer,
  signBls,
  stateRootPayload,
  verifyBls,
} from '../../src/certification/index.ts';
import {
  type CborMap,
  decodeCbor,
  decodeState,
  encodeSelfDescribedCbor,
  encodeState,
  encodeUleb128,
  type HashableMap,
  requestId,
  sha256,
  toHex,
  utf8,
} from '../../src/codec/index.ts';
import { ANONYMOUS, canisterIdFromNumber, type Principal } from '../../src/model/index.ts';
import { type CanisterState, PageMap, StateTree, type SubnetState } from '../../src/state/index.ts';

const { values } = parseArgs({ options: { milliseconds: { type: 'string', default: '50' } } });
const batchMs = Number(values.milliseconds);

interface Task {
  readonly name: string;
  readonly run: () => unknown;
}

const tasks: Task[] = [];
const bench = {
  add: (name: string, run: () => unknown): void => {
    tasks.push({ name, run });
  },
};

/** Microseconds of processor time per call: the best of eight batches, so that neighbours on the machine matter little. */
function measure(run: () => unknown): number {
  const batch = (calls: number): number => {
    const before = process.cpuUsage();
    for (let i = 0; i < calls; i++) run();
    const { user, system } = process.cpuUsage(before);
    return user + system;
  };
  let calls = 1;
  while (batch(calls) < batchMs * 1000) calls *= 2;
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 8; i++) best = Math.min(best, batch(calls) / calls);
  return best;
}

// --- requests -------------------------------------------------------------------------------------------------------

function envelope(argBytes: number): Uint8Array {
  return encodeSelfDescribedCbor({
    content: {
      request_type: 'call',
      canister_id: canisterIdFromNumber(7n),
      method_name: 'greet',
      arg: new Uint8Array(argBytes),
      sender: new Uint8Array(29).fill(2),
      ingress_expiry: 1_795_287_420_000_000_000n,
      nonce: new Uint8Array(16),
    },
    sender_pubkey: new Uint8Array(44),
    sender_sig: new Uint8Array(64),
  });
}

for (const size of [100, 1 << 20]) {
  const bytes = envelope(size);
  const content = (decodeCbor(bytes) as CborMap).get('content') as HashableMap;
  bench.add(`decode an envelope, argument of ${size} B`, () => decodeCbor(bytes));
  bench.add(`request id, argument of ${size} B`, () => requestId(content));
}
for (const size of [81, 4096]) {
  const data = new Uint8Array(size);
  bench.add(`sha256 of ${size} B`, () => sha256(data));
}

// --- keys -----------------------------------------------------------------------------------------------------------

const message = stateRootPayload(new Uint8Array(32));
const secretKey = blsSecretKeyFromSeed(new Uint8Array(32));
const signer = await createBlsSigner(secretKey);
const verify = await loadBlsVerifier();
const signature = signer.sign(message);
bench.add('BLS sign', () => signer.sign(message));
bench.add('BLS sign, portable', () => signBls(secretKey, message));
bench.add('BLS verify', () => verify(signer.publicKeyDer, signature, message));
bench.add('BLS verify, portable', () => verifyBls(signer.publicKeyDer, signature, message));
for (const host of ['native', 'portable'] as const) {
  const verifyPlain = await createPlainVerifier(host);
  for (const kind of ['Ed25519', 'P-256', 'secp256k1']) {
    const pair = kind === 'Ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: kind });
    const key = publicKeyFromDer(new Uint8Array(pair.publicKey.export({ format: 'der', type: 'spki' })));
    if (key.scheme === 'webauthn' || key.scheme === 'canister') throw new Error('not a plain key');
    const signed = sign(kind === 'Ed25519' ? null : 'sha256', message, {
      key: pair.privateKey,
      dsaEncoding: 'ieee-p1363',
    });
    bench.add(`${kind} verify, ${host}`, () => verifyPlain(key, message, signed));
  }
}

// --- trees ----------------------------------------------------------------------------------------------------------

for (const entries of [10_000, 100_000]) {
  const labels = Array.from({ length: entries }, () => new Uint8Array(randomBytes(32)));
  let tree = LabelledTree.empty;
  for (const label of labels) tree = tree.set([label], label);
  const built = tree.rootHash.length;
  let n = built;
  bench.add(`set one of ${entries} leaves and hash the root`, () => {
    n = (n * 7919 + 1) % entries;
    tree = tree.set([labels[n] as Uint8Array], encodeUleb128(n));
    return tree.rootHash;
  });
  bench.add(`witness of one of ${entries} leaves, encoded as a certificate`, () => {
    n = (n * 7919 + 1) % entries;
    return encodeCertificate({ tree: tree.witness([[labels[n] as Uint8Array]]), signature });
  });
}

// --- the state tree -------------------------------------------------------------------------------------------------

function stateOf(canisters: number): SubnetState {
  const subnetId = canisterIdFromNumber(1n << 60n);
  const state: SubnetState = {
    protocolVersion: 1,
    registryVersion: 1,
    height: 0,
    time: 1n,
    stateHash: new Uint8Array(32),
    network: {
      subnetId,
      publicKey: signer.publicKeyDer,
      rootPublicKey: signer.publicKeyDer,
      subnetType: 'application',
      costSchedule: 'normal',
      nodes: [{ nodeId: subnetId, publicKey: new Uint8Array(44) }],
      canisterRanges: [{ start: canisterIdFromNumber(0n), end: subnetId }],
      feeSubnetSize: 13,
      provisional: true,
    },
    nextCanisterNumber: 0n,
    nextId: 0n,
    canisters: new Map(),
    ingressHistory: new Map(),
    modules: new Map(),
    managementCalls: [],
    randomness: new Uint8Array(32),
    lastChargeTime: 0n,
    cyclesMinted: 0n,
    cyclesBurned: 0n,
  };
  for (let n = 0; n < canisters; n++) addCanister(state, canisterIdFromNumber(BigInt(n)));
  return state;
}

function addCanister(state: SubnetState, id: Principal): void {
  // What the tree looks at; the rest of a canister's state does not matter here.
  const canister = {
    id,
    createdAt: 1n,
    settings: { controllers: [ANONYMOUS] },
    code: {
      moduleHash: '00'.repeat(32),
      installedAt: 1n,
      customSections: [{ name: 'candid:service', visibility: 'public', content: utf8('service : {}') }],
    },
    heap: new PageMap(),
    stable: new PageMap(),
    certifiedData: new Uint8Array(32),
    chunkStore: new Map(),
  };
  state.canisters.set(id.key, canister as unknown as CanisterState);
}

const memory: string[] = [];
for (const canisters of [10_000, 100_000]) {
  const state = stateOf(canisters);
  const ids = [...state.canisters.keys()];
  globalThis.gc?.();
  const heapBefore = process.memoryUsage();
  const cpuBefore = process.cpuUsage();
  const tree = StateTree.of(state);
  const rootLength = tree.tree.rootHash.length;
  const cpu = process.cpuUsage(cpuBefore);
  globalThis.gc?.();
  const heapAfter = process.memoryUsage();
  const bytes = heapAfter.heapUsed + heapAfter.external - heapBefore.heapUsed - heapBefore.external;
  memory.push(
    `state tree of ${canisters} canisters: built in ${((cpu.user + cpu.system) / 1000).toFixed(0)} ms` +
      (globalThis.gc === undefined ? '' : `, ${(bytes / canisters).toFixed(0)} B each`),
  );
  let n = rootLength;
  bench.add(`a round of one call, ${canisters} canisters: update and hash`, () => {
    n = (n * 7919 + 1) % canisters;
    const key = ids[n] as string;
    const request = toHex(randomBytes(32));
    const canister = state.canisters.get(key);
    if (canister !== undefined) canister.certifiedData = randomBytes(32);
    state.time += 1n;
    state.ingressHistory.set(request, {
      sender: ANONYMOUS,
      canisterId: ANONYMOUS,
      effectiveCanisterId: ANONYMOUS,
      expiry: 0n,
      status: { status: 'replied', reply: new Uint8Array(40) },
    });
    return tree.update(state, { canisters: [key], requests: [request] }).rootHash;
  });
  bench.add(`certificate of a request, ${canisters} canisters`, () => {
    const [request] = state.ingressHistory.keys();
    const paths = [pathOf('time')];
    if (request !== undefined) paths.push(pathOf('request_status', new Uint8Array(Buffer.from(request, 'hex'))));
    return encodeCertificate({ tree: tree.tree.witness(paths), signature });
  });
}

// --- the state codec ------------------------------------------------------------------------------------------------

const records = Array.from({ length: 10_000 }, (_, n) => ({
  id: canisterIdFromNumber(BigInt(n)),
  balance: 3_000_000_000_000n + BigInt(n),
  settings: { controllers: [ANONYMOUS], freezingThresholdSeconds: 2_592_000n, limits: [1, 2, 3] },
  name: `canister ${n}`,
  data: new Uint8Array(100),
}));
const encoded = encodeState(records);
bench.add(`encode 10,000 records (${(encoded.length / 1e6).toFixed(1)} MB)`, () => encodeState(records));
bench.add(`decode 10,000 records (${(encoded.length / 1e6).toFixed(1)} MB)`, () => decodeState(encoded));

console.log(`Node ${process.version}, ${os.cpus()[0]?.model ?? 'unknown'}, ${os.cpus().length} cores\n`);
console.log('| operation | µs | per second |\n|---|---:|---:|');
for (const { name, run } of tasks) {
  const micros = measure(run);
  console.log(
    `| ${name} | ${micros.toFixed(micros < 100 ? 2 : 0)} | ${Math.round(1_000_000 / micros).toLocaleString('en')} |`,
  );
}
console.log(`\n${memory.join('\n')}`);
