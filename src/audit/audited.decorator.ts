import { SetMetadata } from '@nestjs/common';
import type { AuditAction, AuditMetadata } from '../kernel/audit.js';

const AUDITED = Symbol('audited');

export interface Audited {
  readonly action: AuditAction;
  /** Kind of the resource, `session`. */
  readonly kind: string;
  /** Field of the request that names the resource; absent when it is made by the call. */
  readonly field: string | null;
  /** Small facts about what was done, made of the handler's result. */
  readonly about: ((result: never) => AuditMetadata) | null;
  /** Those that are known beforehand, told of a failure too. */
  readonly facts: AuditMetadata;
}

/**
 * The outcome of this handler is an audit event; its success is told only after the event is committed.
 * @param field of the request that names the resource; null when the call makes it
 * @param about small facts for the event, of what the handler returned
 * @param facts small facts that are known beforehand
 */
export const Audited = (
  action: AuditAction,
  kind: string,
  field: string | null = null,
  about: ((result: never) => AuditMetadata) | null = null,
  facts: AuditMetadata = {},
): MethodDecorator => SetMetadata(AUDITED, { action, kind, field, about, facts } satisfies Audited);

export function auditedOf(handler: object): Audited | null {
  return (Reflect.getMetadata(AUDITED, handler) as Audited | undefined) ?? null;
}
