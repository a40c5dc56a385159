import { Column, Entity, PrimaryColumn } from 'typeorm';

/** A role that was bound at run time. */
@Entity({ name: 'role_bindings' })
export class RoleBindingEntity {
  @PrimaryColumn({ type: 'uuid' })
  id!: string;

  @Column({ type: 'text' })
  tenant!: string;

  @Column({ type: 'text' })
  role!: string;

  @Column({ type: 'text', name: 'member_kind' })
  memberKind!: 'subject' | 'group';

  @Column({ type: 'text', name: 'member_provider' })
  memberProvider!: string;

  /** The subject, or the group's name. */
  @Column({ type: 'text' })
  member!: string;

  /** Subject of whoever made it; `system` for what a migration made. */
  @Column({ type: 'text', name: 'created_by' })
  createdBy!: string;

  @Column({ type: 'timestamptz', name: 'created_at' })
  createdAt!: Date;
}
