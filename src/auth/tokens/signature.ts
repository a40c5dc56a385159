import { constants, createHmac, type KeyObject, timingSafeEqual, verify } from 'node:crypto';

/** Signature algorithms that an identity provider may use (contract: identity); PS* by opt-in. */
export const PROVIDER_ALGORITHMS = [
  ...(['RS256', 'RS384', 'RS512', 'ES256', 'ES384'] as const),
  ...(['PS256', 'PS384', 'PS512'] as const),
] as const;

export type ProviderAlgorithm = (typeof PROVIDER_ALGORITHMS)[number];

const MIN_RSA_BITS = 2048;
/** Verifying takes longer with every bit: a key of a provider must not stop the server. */
const MAX_RSA_BITS = 8192;

interface Method {
  readonly kind: 'rsa' | 'rsa-pss' | 'ec';
  readonly hash: 'sha256' | 'sha384' | 'sha512';
  /** OpenSSL's name of the curve, of `ec`. */
  readonly curve?: 'prime256v1' | 'secp384r1';
}

/** RFC 7518 section 3.1. */
const METHODS: Readonly<Record<ProviderAlgorithm, Method>> = {
  RS256: { kind: 'rsa', hash: 'sha256' },
  RS384: { kind: 'rsa', hash: 'sha384' },
  RS512: { kind: 'rsa', hash: 'sha512' },
  ES256: { kind: 'ec', hash: 'sha256', curve: 'prime256v1' },
  ES384: { kind: 'ec', hash: 'sha384', curve: 'secp384r1' },
  PS256: { kind: 'rsa-pss', hash: 'sha256' },
  PS384: { kind: 'rsa-pss', hash: 'sha384' },
  PS512: { kind: 'rsa-pss', hash: 'sha512' },
};

/** May this public key verify that algorithm? Type, curve and strength (RFC 7518 sections 3.3 to 3.5). */
export function fits(algorithm: ProviderAlgorithm, key: KeyObject): boolean {
  const { kind, curve } = METHODS[algorithm];
  if (key.type !== 'public') return false;
  const { modulusLength = 0, publicExponent = 0n, namedCurve } = key.asymmetricKeyDetails ?? {};
  if (kind === 'ec') return key.asymmetricKeyType === 'ec' && namedCurve === curve;
  const strong = modulusLength >= MIN_RSA_BITS && modulusLength <= MAX_RSA_BITS && publicExponent >= 3n;
  return key.asymmetricKeyType === 'rsa' && strong;
}

/**
 * Is this the provider's signature?
 * @param key one that {@link fits}
 * @param signed the first two parts of the token
 */
export function isSignedBy(key: KeyObject, algorithm: ProviderAlgorithm, signed: string, signature: Buffer): boolean {
  const { kind, hash } = METHODS[algorithm];
  const input = Buffer.from(signed, 'ascii');
  if (kind === 'ec') return verify(hash, input, { key, dsaEncoding: 'ieee-p1363' }, signature);
  if (kind === 'rsa') return verify(hash, input, { key, padding: constants.RSA_PKCS1_PADDING }, signature);
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  return verify(hash, input, { key, padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }, signature);
}

/**
 * Is this the HS256 signature of a local token? Takes the same time for every wrong one.
 * @param secret a secret key
 */
export function isSignedWithSecret(secret: KeyObject, signed: string, signature: Buffer): boolean {
  const expected = createHmac('sha256', secret).update(signed).digest();
  return signature.length === expected.length && timingSafeEqual(signature, expected);
}
