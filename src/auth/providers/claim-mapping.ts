import { z } from 'zod';
import type { DomainError } from '../../kernel/errors.js';
import { claimNames, claimText, typed } from '../tokens/claim-types.js';
import { refusal } from '../tokens/refusal.js';
import type { ProviderConfig } from './auth-config.js';
import type { ClaimMappings, ClaimPath, ListSource } from './claim-source.js';

/** A verified payload, in which nothing but the registered claims has been looked at. */
export type Payload = Readonly<Record<string, unknown>>;

/** Whom a provider speaks of, in our terms. */
export interface MappedClaims {
  readonly subject: string;
  readonly displayName?: string;
  readonly email?: string;
  readonly tenant?: string;
  readonly groups: readonly string[];
  /** Roles of ours: those of the provider that `role_map` names. */
  readonly roles: readonly string[];
  /** What the provider itself calls them. */
  readonly vouchedRoles: readonly string[];
  readonly kind: 'user' | 'service';
}

/** Names in one text; each is checked once they are apart. */
const namesText = z.string().min(1).max(4096);
const array = (...path: string[]): ListSource => ({ path, format: 'array' });

/** Where each kind of provider says what; `claim_mappings` of auth.yaml win. */
const PRESETS: Readonly<Record<ProviderConfig['preset'], ClaimMappings & { readonly subject: ClaimPath }>> = {
  generic: {
    ...{ subject: ['sub'], email: ['email'], name: ['name'], tenant: ['tenant'] },
    ...{ groups: array('groups'), roles: array('roles') },
  },
  backstage: { subject: ['sub'], email: ['usc', 'email'], name: ['usc', 'displayName'] },
  // Groups and roles are in claims under an address of one's own there.
  auth0: { subject: ['sub'], email: ['email'], name: ['name'] },
  okta: { subject: ['sub'], email: ['email'], name: ['name'], groups: array('groups') },
  keycloak: {
    ...{ subject: ['sub'], email: ['email'], name: ['name'] },
    ...{ groups: array('groups'), roles: array('realm_access', 'roles') },
  },
};

/** Backstage's names of users and groups: kind, namespace, name. */
const BACKSTAGE_USER = /^user:[^/:]+\/[^/:]+$/;
const isBackstageGroup = (name: string): boolean => name.startsWith('group:');

/**
 * Reads a provider's claims where its preset and its mappings say, each with its JSON type and never coerced.
 * @throws DomainError JWT_INVALID for a missing subject or a claim of the wrong type
 */
export function mapClaims(payload: Payload, provider: ProviderConfig): MappedClaims {
  const preset = PRESETS[provider.preset];
  const sources: ClaimMappings = { ...preset, ...present(provider.claim_mappings) };
  const subject = typed(claimText, at(payload, sources.subject ?? preset.subject, 'subject'), 'subject');
  if (provider.preset === 'backstage' && !BACKSTAGE_USER.test(subject)) throw wrong('subject');
  const displayName = textAt(payload, sources.name, 'name');
  const email = textAt(payload, sources.email, 'email');
  const tenant = textAt(payload, sources.tenant, 'tenant');
  const groups = sources.groups ? namesAt(payload, sources.groups, 'groups') : presetGroups(payload, provider);
  const roles = sources.roles ? namesAt(payload, sources.roles, 'roles') : [];
  return {
    subject,
    ...(displayName === undefined ? {} : { displayName }),
    ...(email === undefined ? {} : { email }),
    ...(tenant === undefined ? {} : { tenant }),
    groups: unique(groups),
    roles: mappedRoles(provider.role_map, roles),
    vouchedRoles: unique(roles),
    kind: isClient(payload, subject) ? 'service' : 'user',
  };
}

/** A provider's roles as ours, without repetition. */
export const mappedRoles = (map: Readonly<Record<string, string>>, roles: readonly string[]): readonly string[] =>
  unique(roles.flatMap((role) => mappedRole(map, role)));

/** A role of the provider that the map does not name is nothing here. */
const mappedRole = (map: Readonly<Record<string, string>>, role: string): string[] => {
  const ours = Object.hasOwn(map, role) ? map[role] : undefined;
  return ours === undefined ? [] : [ours];
};

/** Backstage has the groups in two places. */
function presetGroups(payload: Payload, { preset }: ProviderConfig): string[] {
  if (preset !== 'backstage') return [];
  const groups = [
    ...namesAt(payload, array('ent'), 'groups'),
    ...namesAt(payload, array('usc', 'ownershipEntityRefs'), 'groups'),
  ];
  return groups.filter(isBackstageGroup);
}

/** A token that a program got for itself names the program twice (RFC 9068 section 2.2; Auth0 marks the subject). */
function isClient(payload: Payload, subject: string): boolean {
  const client = ['client_id', 'azp', 'cid'].map((name) => payload[name]).find((value) => typeof value === 'string');
  return client !== undefined && (subject === client || subject === `${client}@clients`);
}

function textAt(payload: Payload, path: ClaimPath | undefined, name: string): string | undefined {
  return path === undefined ? undefined : typed(claimText.optional(), at(payload, path, name), name);
}

function namesAt(payload: Payload, { path, format, separator }: ListSource, name: string): string[] {
  const value = at(payload, path, name);
  if (format === 'array') return typed(claimNames.optional(), value, name) ?? [];
  const text = typed(namesText.optional(), value, name);
  if (text === undefined) return [];
  const names = separator === undefined ? [text] : text.split(separator).filter((each) => each !== '');
  return typed(claimNames, names, name);
}

/** The value at a path; undefined when it is not there. @throws DomainError when something on the way is no object */
function at(payload: Payload, path: ClaimPath, name: string): unknown {
  let value: unknown = payload;
  for (const step of path) {
    if (value === undefined) return undefined;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(name);
    value = Object.hasOwn(value, step) ? (value as Payload)[step] : undefined;
  }
  return value;
}

/** Without what is undefined, which would hide the preset. */
const present = (mappings: ClaimMappings): ClaimMappings =>
  Object.fromEntries(Object.entries(mappings).filter(([, source]) => source !== undefined));

const unique = (names: readonly string[]): string[] => [...new Set(names)];
const wrong = (name: string): DomainError => refusal('JWT_INVALID', `claim_${name}`);
