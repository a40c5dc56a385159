import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { fits, type ProviderAlgorithm } from '../tokens/signature.js';
import type { PublishedKeys } from './jwks-client.js';

/** A key of a provider that verifies something. */
export interface VerificationKey {
  readonly kid: string | null;
  /** What it may verify: allowed for the provider, fit for the key, and named by it if it names one. Never empty. */
  readonly algorithms: readonly ProviderAlgorithm[];
  readonly key: KeyObject;
  /** The same as long as the key is published the same way. */
  readonly fingerprint: string;
}

const part = z.string().max(4096);

/** RFC 7517 section 4, RFC 7518 section 6: what is looked at. `d` is private: a key that is published with it is nobody's. */
const jwkSchema = z.object({
  kty: z.enum(['RSA', 'EC']),
  kid: z.string().min(1).max(256).optional(),
  use: z.literal('sig').optional(),
  key_ops: z
    .array(z.string().max(64))
    .max(16)
    .refine((operations) => operations.includes('verify'))
    .optional(),
  alg: z.string().max(64).optional(),
  n: part.optional(),
  e: part.optional(),
  crv: z.string().max(64).optional(),
  x: part.optional(),
  y: part.optional(),
  d: z.never().optional(),
});

/**
 * The keys among published ones that may verify tokens. Others are passed over, since a provider may publish keys for
 * purposes that are not ours.
 * @param allowed the provider's algorithms
 */
export function usableKeys(published: PublishedKeys, allowed: readonly ProviderAlgorithm[]): VerificationKey[] {
  return published.flatMap((jwk) => usableKey(jwk, allowed) ?? []);
}

function usableKey(jwk: unknown, allowed: readonly ProviderAlgorithm[]): VerificationKey | null {
  const parsed = jwkSchema.safeParse(jwk);
  if (!parsed.success) return null;
  const { kid = null, alg } = parsed.data;
  const key = publicKey(parsed.data);
  if (key === null) return null;
  const algorithms = allowed.filter((each) => (alg === undefined || alg === each) && fits(each, key));
  if (algorithms.length === 0) return null;
  return { kid, algorithms, key, fingerprint: fingerprintOf(key, kid, algorithms) };
}

function publicKey({ kty, n, e, crv, x, y }: z.infer<typeof jwkSchema>): KeyObject | null {
  const jwk = (kty === 'RSA' ? { kty, n, e } : { kty, crv, x, y }) as JsonWebKey;
  try {
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch {
    return null;
  }
}

function fingerprintOf(key: KeyObject, kid: string | null, algorithms: readonly string[]): string {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .update(JSON.stringify([kid, algorithms]))
    .digest('base64url');
}
