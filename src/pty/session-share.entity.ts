import { Column, Entity, PrimaryColumn } from 'typeorm';

/** A right on one session that its owner gave to a subject or group. */
@Entity({ name: 'session_shares' })
export class SessionShareEntity {
  /** UUIDv7. */
  @PrimaryColumn({ type: 'uuid' })
  id!: string;

  @Column({ type: 'uuid', name: 'session_id' })
  sessionId!: string;

  @Column({ type: 'text' })
  tenant!: string;

  @Column({ type: 'text', name: 'grantee_kind' })
  granteeKind!: 'subject' | 'group';

  @Column({ type: 'text', name: 'grantee_provider' })
  granteeProvider!: string;

  @Column({ type: 'text' })
  grantee!: string;

  @Column({ type: 'text' })
  level!: 'view' | 'input';

  @Column({ type: 'text', name: 'created_by' })
  createdBy!: string;

  @Column({ type: 'timestamptz', name: 'created_at' })
  createdAt!: Date;

  /** Null: as long as the session. */
  @Column({ type: 'timestamptz', name: 'expires_at', nullable: true })
  expiresAt!: Date | null;
}
