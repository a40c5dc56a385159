import { SetMetadata } from '@nestjs/common';
import type { AuditAction } from '../kernel/audit.js';

const AUDITED = Symbol('audited');

export interface Audited {
  readonly action: AuditAction;
  /** Kind of the resource, `session`. */
  readonly kind: string;
  /** Field of the request that names the resource; absent when it is made by the call. */
  readonly field: string | null;
}

/** The outcome of this handler is an audit event; its success is told only after the event is committed. */
export const Audited = (action: AuditAction, kind: string, field: string | null = null): MethodDecorator =>
  SetMetadata(AUDITED, { action, kind, field } satisfies Audited);

export function auditedOf(handler: object): Audited | null {
  return (Reflect.getMetadata(AUDITED, handler) as Audited | undefined) ?? null;
}
