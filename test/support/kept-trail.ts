import { type AuditFact, AuditTrail } from '../../src/kernel/audit.js';
import { DomainError } from '../../src/kernel/errors.js';

/** A trail that keeps what it is told, and refuses when asked to: for tests of something else. */
export class KeptTrail extends AuditTrail {
  readonly facts: AuditFact[] = [];
  refuses = false;

  record(_context: unknown, fact: AuditFact): Promise<void> {
    this.facts.push(fact);
    return this.refuses ? Promise.reject(new DomainError('AUDIT_UNAVAILABLE', 'no')) : Promise.resolve();
  }
  note(_context: unknown, fact: AuditFact): void {
    this.facts.push(fact);
  }
  noteOnce(_context: unknown, fact: AuditFact): Promise<boolean> {
    this.facts.push(fact);
    return Promise.resolve(!this.refuses);
  }
  outcome<T>(_context: unknown, _attempt: unknown, act: () => Promise<T>): Promise<T> {
    return act();
  }
  noteCounted(): void {}
  noteStranger(): void {}
  noteAccepted(): void {}
}
