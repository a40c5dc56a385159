import { type KeyPrefix, generateKey } from '../kernel/api-key-text.js';
import type { ApiKeyEntity } from './api-key.entity.js';
import type { SecretHasher } from './secret-hasher.js';

/** What a key is made with; everything else of its row begins empty. */
export type KeyFields = Pick<
  ApiKeyEntity,
  | 'tenant'
  | 'name'
  | 'description'
  | 'ownerProvider'
  | 'ownerSubject'
  | 'createdByProvider'
  | 'createdBy'
  | 'roles'
  | 'scopes'
  | 'allowedCidrs'
  | 'rateLimitPerMinute'
  | 'expiresAt'
  | 'createdAt'
> &
  Partial<Pick<ApiKeyEntity, 'rotatedFrom' | 'idempotencyKey' | 'idempotencyHash'>>;

export interface NewKey {
  /** Not yet stored. */
  readonly row: ApiKeyEntity;
  /** Exists here and in the one answer that shows it. */
  readonly text: string;
}

/** Outside production keys are told apart by their prefix. */
export const prefixOf = (production: boolean): KeyPrefix => (production ? 'gh_live' : 'gh_test');

/** A new key and its row. @throws DomainError AUTH_BUSY when too many secrets wait to be hashed */
export async function newKey(hasher: SecretHasher, prefix: KeyPrefix, fields: KeyFields): Promise<NewKey> {
  const { id, secret, text } = generateKey(prefix);
  const row: ApiKeyEntity = {
    id,
    prefix,
    keyHash: await hasher.hash(secret),
    lastFour: text.slice(-4),
    lastUsedAt: null,
    lastUsedIp: null,
    useCount: '0',
    revokedAt: null,
    revokedBy: null,
    revokedReason: null,
    rotatedFrom: null,
    rotatedTo: null,
    graceUntil: null,
    verifier: null,
    verifierKey: null,
    idempotencyKey: null,
    idempotencyHash: null,
    ...fields,
  };
  return { row, text };
}
