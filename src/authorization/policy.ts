import type { BindingIndex } from './bindings.js';
import type { Permission } from './permissions.js';

/** What is decided by: an immutable snapshot of the built-in roles, permissions.yaml and the stored bindings. */
export interface Policy {
  /** By canonical name. A role that is not in here grants nothing. */
  readonly roles: ReadonlyMap<string, ReadonlySet<Permission>>;
  /** Of permissions.yaml and those made at run time; a role may be bound in either or both. */
  readonly bindings: readonly BindingIndex[];
  /** For those who have no role from anywhere else. */
  readonly defaultRoles: readonly string[];
  /** In the order of the file. */
  readonly denials: readonly Denial[];
}

/** A rule that wins over every role: what it names is refused to whom it names. */
export interface Denial {
  readonly permissions: ReadonlySet<Permission>;
  /** Where it holds; null: in every tenant. */
  readonly tenant: string | null;
  /** Of subjects, groups and holders of roles, any one is enough; null: everybody there. */
  readonly whom: {
    /** Each as `memberKey` writes it. */
    readonly members: ReadonlySet<string>;
    readonly roles: ReadonlySet<string>;
  } | null;
}

/** A thing that has an owner. What features tell the policy about a session; nothing else of it matters here. */
export interface Resource {
  readonly kind: string;
  readonly id: string;
  readonly tenant: string;
  readonly ownerProvider: string;
  readonly ownerSubject: string;
  /** Whom its owner let in. */
  readonly shares: readonly ResourceShare[];
}

/** A right on one resource that its owner gave to a subject or group of the tenant. */
export interface ResourceShare {
  readonly kind: 'subject' | 'group';
  readonly provider: string;
  readonly name: string;
  readonly level: 'view' | 'input';
  /** Null when it does not end by itself. */
  readonly expiresAt: Date | null;
}
