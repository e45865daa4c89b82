import { hash_to_field } from '@noble/curves/abstract/hash-to-curve.js';
import { bls12_381 } from '@noble/curves/bls12-381.js';
import { sha256 as portableSha256 } from '@noble/hashes/sha2.js';
import { concatBytes, equalBytes, fromHex, sha256, toHex, utf8 } from '../codec/index.ts';
import { CertificationError } from './certification-error.ts';

/**
 * BLS12-381 with signatures in G1 (48 bytes) and public keys in G2 (96 bytes), as certificates use it (interface spec,
 * "Certificate"; draft-irtf-cfrg-bls-signature-04, basic scheme).
 *
 * Two implementations give the same bytes: a portable one (@noble/curves), and mcl compiled to Wasm, six times faster,
 * which `createBlsSigner` and `loadBlsVerifier` load when first asked for. mcl has no hash to the curve with our domain
 * tag, but that splits: expanding the message to two field elements is cheap and done by the portable library; mapping
 * them to the curve and clearing the cofactor, which is linear, is done by mcl. Neither claims constant time.
 */
const DOMAIN_TAG = 'BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_';
const CURVE_ORDER = bls12_381.fields.Fr.ORDER;
const HASH_TO_FIELD = {
  DST: DOMAIN_TAG,
  p: bls12_381.fields.Fp.ORDER,
  m: 1,
  k: 128,
  expand: 'xmd',
  hash: portableSha256,
} as const;

/** The generator of G2, compressed. Written down: the portable library takes half a second to encode and check it. */
const GENERATOR = fromHex(
  '93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e' +
    '024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8',
);

/** SubjectPublicKeyInfo of a BLS key: everything before the 96 bytes of the point. */
const DER_PREFIX = fromHex('308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100');

/** Length of a public key as certificates carry it. */
export const BLS_PUBLIC_KEY_DER_BYTES = 133;

/** Wraps the 96 bytes of a public key in DER. */
export function blsPublicKeyToDer(publicKey: Uint8Array): Uint8Array {
  if (publicKey.length !== 96) throw new CertificationError('bad_key', 'a BLS public key has 96 bytes');
  return concatBytes(DER_PREFIX, publicKey);
}

/** The 96 bytes of a DER-wrapped public key. @throws CertificationError `bad_key` */
export function blsPublicKeyFromDer(der: Uint8Array): Uint8Array {
  if (der.length !== BLS_PUBLIC_KEY_DER_BYTES || !equalBytes(der.subarray(0, DER_PREFIX.length), DER_PREFIX))
    throw new CertificationError('bad_key', 'not a DER-encoded BLS public key');
  return der.slice(DER_PREFIX.length);
}

/** Derives a secret key (32 bytes, big-endian scalar) from a seed of at least 32 random bytes. */
export function blsSecretKeyFromSeed(seed: Uint8Array): Uint8Array {
  if (seed.length < 32) throw new CertificationError('bad_key', 'a seed has at least 32 bytes');
  const expand = (n: number): Uint8Array => sha256(utf8('perdure-bls-secret-key'), Uint8Array.of(n), seed);
  return new Uint8Array(
    bls12_381.utils.randomSecretKey(
      concatBytes(expand(0), expand(1)).subarray(0, bls12_381.shortSignatures.lengths.seed),
    ),
  );
}

/** The DER-encoded public key of a secret key. @throws CertificationError `bad_key` */
export function blsPublicKeyDer(secretKey: Uint8Array): Uint8Array {
  checkSecretKey(secretKey);
  return blsPublicKeyToDer(new Uint8Array(bls12_381.shortSignatures.getPublicKey(secretKey).toBytes()));
}

function checkSecretKey(secretKey: Uint8Array): void {
  const scalar = secretKey.length === 32 ? BigInt(`0x${toHex(secretKey)}`) : 0n;
  if (scalar === 0n || scalar >= CURVE_ORDER)
    throw new CertificationError('bad_key', 'a BLS secret key is a 32-byte number below the order of the curve');
}

/** Signs with the portable implementation (5 ms): 48 bytes. */
export function signBls(secretKey: Uint8Array, message: Uint8Array): Uint8Array {
  checkSecretKey(secretKey);
  const { shortSignatures } = bls12_381;
  return new Uint8Array(
    shortSignatures.Signature.toBytes(shortSignatures.sign(shortSignatures.hash(message, DOMAIN_TAG), secretKey)),
  );
}

/** Whether a signature fits a key and a message. False, not an error, for keys and signatures that are malformed. */
export type VerifyBls = (publicKeyDer: Uint8Array, signature: Uint8Array, message: Uint8Array) => boolean;

/** Verifies with the portable implementation (30 ms). */
export const verifyBls: VerifyBls = (publicKeyDer, signature, message) => {
  const { shortSignatures, G1, G2 } = bls12_381;
  try {
    const point = shortSignatures.Signature.fromBytes(signature);
    const publicKey = G2.Point.fromBytes(blsPublicKeyFromDer(publicKeyDer));
    point.assertValidity();
    publicKey.assertValidity();
    if (point.equals(G1.Point.ZERO) || publicKey.equals(G2.Point.ZERO)) return false;
    return shortSignatures.verify(point, shortSignatures.hash(message, DOMAIN_TAG), publicKey);
  } catch {
    return false;
  }
};

// --- the fast implementation --------------------------------------------------------------------------------------

type Mcl = typeof import('mcl-wasm');
type G1 = InstanceType<Mcl['G1']>;
type PrecomputedG2 = InstanceType<Mcl['PrecomputedG2']>;

let loading: Promise<Mcl> | undefined;

/** mcl's set-up is asynchronous and global to the thread: done once, by whoever comes first. */
function loadMcl(): Promise<Mcl> {
  loading ??= (async () => {
    const module = (await import('mcl-wasm')) as Mcl & { readonly default?: Mcl };
    const mcl = module.default ?? module;
    await mcl.init(mcl.BLS12_381);
    mcl.setETHserialization(true);
    mcl.setMapToMode(mcl.IRTF);
    mcl.verifyOrderG1(true);
    mcl.verifyOrderG2(true);
    return mcl;
  })();
  return loading;
}

/** Loads the fast implementation ahead of its first use, which takes a tenth of a second. */
export async function loadBls(): Promise<void> {
  await loadMcl();
}

function hashToG1(mcl: Mcl, message: Uint8Array): G1 {
  const [first, second] = hash_to_field(message, 2, HASH_TO_FIELD);
  const map = (element: readonly bigint[] | undefined): G1 => {
    const fp = new mcl.Fp();
    fp.setStr((element?.[0] ?? 0n).toString(16), 16);
    return fp.mapToG1();
  };
  return mcl.add(map(first), map(second));
}

export interface BlsSigner {
  /** 133 bytes. */
  readonly publicKeyDer: Uint8Array;
  /** 48 bytes; deterministic. About 1 ms of this thread: a busy node signs on a worker. */
  sign(message: Uint8Array): Uint8Array;
}

/** A signer for a secret key (32 bytes, as `blsSecretKeyFromSeed` gives). @throws CertificationError `bad_key` */
export async function createBlsSigner(secretKey: Uint8Array): Promise<BlsSigner> {
  checkSecretKey(secretKey);
  const mcl = await loadMcl();
  const scalar = new mcl.Fr();
  scalar.setStr(toHex(secretKey), 16);
  const generator = new mcl.G2();
  generator.deserialize(GENERATOR);
  const publicKey = mcl.mul(generator, scalar).serialize();
  return {
    publicKeyDer: blsPublicKeyToDer(new Uint8Array(publicKey)),
    sign: (message) => new Uint8Array(mcl.mul(hashToG1(mcl, message), scalar).serialize()),
  };
}

/** Keys whose pairing is kept precomputed; a node meets few subnets, and each costs 20 kB. */
const PRECOMPUTED_MAX = 32;

/** The fast verifier of this thread (5 ms, 6 ms for a key that it meets for the first time). */
export async function loadBlsVerifier(): Promise<VerifyBls> {
  const mcl = await loadMcl();
  const positive = new mcl.G2();
  positive.deserialize(GENERATOR);
  const generator = new mcl.PrecomputedG2(mcl.neg(positive));
  const precomputed = new Map<string, PrecomputedG2>();
  const keyOf = (der: Uint8Array): PrecomputedG2 | undefined => {
    const name = toHex(der);
    const known = precomputed.get(name);
    if (known !== undefined) return known;
    const point = new mcl.G2();
    point.deserialize(blsPublicKeyFromDer(der));
    if (point.isZero()) return undefined;
    const made = new mcl.PrecomputedG2(point);
    const [oldest] = precomputed;
    if (oldest !== undefined && precomputed.size >= PRECOMPUTED_MAX) {
      precomputed.delete(oldest[0]);
      oldest[1].destroy();
    }
    precomputed.set(name, made);
    return made;
  };
  return (publicKeyDer, signature, message) => {
    if (signature.length !== 48) return false;
    try {
      const publicKey = keyOf(publicKeyDer);
      const point = new mcl.G1();
      point.deserialize(signature);
      if (publicKey === undefined || point.isZero()) return false;
      // e(signature, −g) · e(hash, key) = 1
      return mcl.finalExp(mcl.precomputedMillerLoop2(point, generator, hashToG1(mcl, message), publicKey)).isOne();
    } catch {
      return false;
    }
  };
}

/**
 * A verifier that begins to load the fast implementation when first asked and answers by the portable one until it is
 * there: for nodes that may never meet a certificate.
 */
export function blsVerifierOnDemand(): VerifyBls {
  let fast: VerifyBls | undefined;
  let loading = false;
  return (publicKeyDer, signature, message) => {
    if (!loading) {
      loading = true;
      loadBlsVerifier().then(
        (verify) => {
          fast = verify;
        },
        // Where Wasm cannot be loaded the portable implementation goes on answering.
        () => {},
      );
    }
    return (fast ?? verifyBls)(publicKeyDer, signature, message);
  };
}
