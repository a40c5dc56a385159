import { type Binding, BindingIndex } from '../../src/authorization/bindings.js';
import type { Policy, Resource, ResourceShare } from '../../src/authorization/policy.js';
import { BUILT_IN_ROLES } from '../../src/authorization/roles.js';
import type { Principal } from '../../src/kernel/principal.js';

/** Alice, a user with a token. */
export const principal = (change: Partial<Principal> = {}): Principal => ({
  subject: 'alice',
  tenant: 'default',
  roles: ['user'],
  groups: [],
  scopes: null,
  method: 'jwt',
  provider: 'gatehouse',
  credentialId: null,
  keyId: null,
  owner: null,
  issuedAt: null,
  expiresAt: null,
  kind: 'user',
  ...change,
});

/** A session of Alice's. */
export const resource = (change: Partial<Resource> = {}): Resource => ({
  kind: 'session',
  id: 's1',
  tenant: 'default',
  ownerProvider: 'gatehouse',
  ownerSubject: 'alice',
  shares: [],
  ...change,
});

/** A share with Alice. */
export const share = (change: Partial<ResourceShare> = {}): ResourceShare => ({
  kind: 'subject',
  provider: 'gatehouse',
  name: 'alice',
  level: 'view',
  expiresAt: null,
  ...change,
});

/** The built-in roles and nothing else. */
export const policy = (change: Partial<Policy> = {}, bindings: readonly Binding[] = []): Policy => ({
  roles: BUILT_IN_ROLES,
  bindings: [BindingIndex.of(bindings)],
  defaultRoles: [],
  denials: [],
  ...change,
});
