import { Inject, Injectable } from '@nestjs/common';
import { AuditTrail } from '../kernel/audit.js';
import type { Clock } from '../kernel/clock.js';
import { Counter } from '../kernel/counter.js';
import { DomainError } from '../kernel/errors.js';
import { Metrics } from '../kernel/metrics.js';
import type { Principal } from '../kernel/principal.js';
import type { CallerContext } from '../kernel/request-context.js';
import { CLOCK } from '../kernel/tokens.js';
import { decide, type Verdict } from './decide.js';
import { type Effective, effectiveOf } from './effective.js';
import { exceeds, type Wanted } from './exceeds.js';
import { type Explanation, explain } from './explain.js';
import { isToChange, type Permission } from './permissions.js';
import type { Resource } from './policy.js';
import { PolicyState } from './policy-state.js';

/** Longest name of an unknown resource that goes on record. */
const MAX_ASKED = 128;
/** What a client does many times a second: a row for each would be a record of its typing. */
const COUNTED: ReadonlySet<Permission> = new Set<Permission>(['pty:input', 'pty:resize']);

/** The one place where a decision becomes an answer and, when refused, an audit event. */
@Injectable()
export class AuthorizationService {
  readonly #checks = new Counter(['result', 'permission']);

  constructor(
    private readonly policy: PolicyState,
    private readonly audit: AuditTrail,
    @Inject(CLOCK) private readonly clock: Clock,
    metrics: Metrics,
  ) {
    const help = 'Calls and messages that were let pass or refused by a permission.';
    metrics.count({ name: 'authz_checks_total', help }, this.#checks);
  }

  /** Just the decision, for filtering and for capabilities told to a client. */
  allows(principal: Principal, permission: Permission, resource: Resource | null): boolean {
    return this.decide(principal, permission, resource).allow;
  }

  /** The decision with the rule behind it, by the policy in force now. */
  decide(principal: Principal, permission: Permission, resource: Resource | null): Verdict {
    return decide(principal, permission, resource, this.policy.current, this.clock.now());
  }

  /** The decision with everything that led to it, for administrators. */
  explain(principal: Principal, permission: Permission, resource: Resource | null): Explanation {
    return explain(principal, permission, resource, this.policy.current, this.clock.now());
  }

  /** What the principal has in all: roles that count, and permissions where their scopes let them through. */
  effective(principal: Principal): Effective {
    return effectiveOf(principal, this.policy.current);
  }

  /** Would this credential be able to do what the caller is not? See {@link exceeds}. */
  exceeds(caller: Principal, wanted: Wanted): string | null {
    return exceeds(caller, wanted, this.policy.current);
  }

  /**
   * Lets the call pass or refuses it, noting the refusal, once a minute for the same one.
   * @returns the decision that let it pass
   * @throws DomainError NOT_FOUND when the caller may not even know the resource, else PERMISSION_DENIED
   */
  require(context: CallerContext, permission: Permission, resource: Resource | null): Verdict {
    const verdict = this.decide(context.principal, permission, resource);
    if (verdict.allow) {
      this.#checks.add({ result: 'granted', permission });
      return verdict;
    }
    const named = nameOf(resource);
    const code = verdict.visible ? 'PERMISSION_DENIED' : 'NOT_FOUND';
    this.refuse(context, { permission, named, code, rule: verdict.rule, what: `${permission} ${named ?? ''}` });
  }

  /** The same for a call, whose permission goes on record where it is one to change something. */
  admit(context: CallerContext, permission: Permission, resource: Resource | null): void {
    const { rule } = this.require(context, permission, resource);
    if (!isToChange(permission)) return;
    const named = nameOf(resource);
    const fact = { action: 'authz.granted', resource: named, success: true, metadata: { permission, rule } } as const;
    if (COUNTED.has(permission)) this.audit.noteCounted(context, fact, `${permission} ${named ?? ''}`);
    else this.audit.note(context, fact);
  }

  /**
   * Refuses a call for a resource that does not exist, exactly as {@link require} does for one that is hidden.
   * @param asked what the caller named it by, not validated
   */
  refuseUnknown(context: CallerContext, permission: Permission, kind: string, asked: unknown): never {
    const rule = `unknown_${kind}`;
    // Counted without the name: a search through made-up ids would otherwise be a row for each.
    this.refuse(context, {
      permission,
      named: askedName(kind, asked),
      code: 'NOT_FOUND',
      rule,
      what: `${permission} ${rule}`,
    });
  }

  private refuse(context: CallerContext, { permission, named, code, rule, what }: Refusal): never {
    this.#checks.add({ result: 'denied', permission });
    const metadata = { permission, rule };
    const fact = { action: 'authz.denied', resource: named, success: false, reason: code, metadata } as const;
    this.audit.noteCounted(context, fact, what);
    throw code === 'NOT_FOUND'
      ? new DomainError('NOT_FOUND', 'There is no such resource.')
      : new DomainError('PERMISSION_DENIED', `This needs the permission ${permission}.`);
  }
}

interface Refusal {
  readonly permission: Permission;
  readonly named: string | null;
  readonly code: 'NOT_FOUND' | 'PERMISSION_DENIED';
  readonly rule: string;
  /** Refusals of one caller that are the same in this are counted as one. */
  readonly what: string;
}

const nameOf = (resource: Resource | null): string | null =>
  resource === null ? null : `${resource.kind}:${resource.id}`;

/** `session:<what was asked for>`, cut to a bounded length and without control characters, which a log is no place for. */
function askedName(kind: string, asked: unknown): string {
  return `${kind}:${typeof asked === 'string' ? asked.slice(0, MAX_ASKED).replace(/\p{Cc}/gu, '') : ''}`;
}
