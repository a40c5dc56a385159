import { Column, Entity, PrimaryColumn } from 'typeorm';

/**
 * An API key at rest: everything but the secret, of which only the bcrypt hash and a keyed verifier are kept. Never
 * deleted, and never good again once it was revoked.
 */
@Entity({ name: 'api_keys' })
export class ApiKeyEntity {
  /** The public key id, 16 base62 characters. */
  @PrimaryColumn({ type: 'text' })
  id!: string;

  @Column({ type: 'text' })
  tenant!: string;

  @Column({ type: 'text' })
  name!: string;

  @Column({ type: 'text' })
  description!: string;

  @Column({ type: 'text', name: 'owner_provider' })
  ownerProvider!: string;

  @Column({ type: 'text', name: 'owner_subject' })
  ownerSubject!: string;

  @Column({ type: 'text', name: 'created_by_provider' })
  createdByProvider!: string;

  @Column({ type: 'text', name: 'created_by' })
  createdBy!: string;

  @Column({ type: 'text', name: 'key_hash' })
  keyHash!: string;

  /** `gh_live` or `gh_test`. */
  @Column({ type: 'text' })
  prefix!: string;

  /** Of the whole text; empty for keys older than this column. */
  @Column({ type: 'text', name: 'last_four' })
  lastFour!: string;

  /** What the key holds, as far as its owner holds it too. */
  @Column({ type: 'text', array: true })
  roles!: string[];

  /** Null when the key is not narrowed. */
  @Column({ type: 'text', array: true, nullable: true })
  scopes!: string[] | null;

  /** Null when it may be used from anywhere. */
  @Column({ type: 'text', array: true, name: 'allowed_cidrs', nullable: true })
  allowedCidrs!: string[] | null;

  /** Null when it has no limit of its own. */
  @Column({ type: 'integer', name: 'rate_limit_per_minute', nullable: true })
  rateLimitPerMinute!: number | null;

  @Column({ type: 'timestamptz', name: 'expires_at', nullable: true })
  expiresAt!: Date | null;

  @Column({ type: 'timestamptz', name: 'last_used_at', nullable: true })
  lastUsedAt!: Date | null;

  @Column({ type: 'text', name: 'last_used_ip', nullable: true })
  lastUsedIp!: string | null;

  /** bigint, which the driver gives as text. */
  @Column({ type: 'bigint', name: 'use_count' })
  useCount!: string;

  @Column({ type: 'timestamptz', name: 'revoked_at', nullable: true })
  revokedAt!: Date | null;

  @Column({ type: 'text', name: 'revoked_by', nullable: true })
  revokedBy!: string | null;

  @Column({ type: 'text', name: 'revoked_reason', nullable: true })
  revokedReason!: string | null;

  /** Id of the key that this one succeeds. */
  @Column({ type: 'text', name: 'rotated_from', nullable: true })
  rotatedFrom!: string | null;

  /** Id of its successor; this key then works until {@link graceUntil}. */
  @Column({ type: 'text', name: 'rotated_to', nullable: true })
  rotatedTo!: string | null;

  @Column({ type: 'timestamptz', name: 'grace_until', nullable: true })
  graceUntil!: Date | null;

  /** See keyed-verifier.ts; null until bcrypt accepted the key once. */
  @Column({ type: 'text', nullable: true })
  verifier!: string | null;

  /** Fingerprint of the server key that {@link verifier} was made with. */
  @Column({ type: 'text', name: 'verifier_key', nullable: true })
  verifierKey!: string | null;

  @Column({ type: 'text', name: 'idempotency_key', nullable: true })
  idempotencyKey!: string | null;

  /** SHA-256 of the request that came with the idempotency key. */
  @Column({ type: 'text', name: 'idempotency_hash', nullable: true })
  idempotencyHash!: string | null;

  @Column({ type: 'timestamptz', name: 'created_at' })
  createdAt!: Date;
}
