import { z } from 'zod';
import type { Config } from '../config/load.js';
import { YamlFile } from '../config/yaml-file.js';
import { DEFAULT_TENANT } from '../kernel/principal.js';
import { type Binding, type Member, memberKey } from './bindings.js';
import { type Permission, permissionsNamed } from './permissions.js';
import type { Denial } from './policy.js';
import { BUILT_IN_ROLES, canonicalRole, ROLE_NAME } from './roles.js';

/** A change of these is rare and made by people; every caller is held against every deny rule. */
const MAX_ROLES = 1000;
const MAX_DENIALS = 1000;
const MAX_DEFAULT_ROLES = 16;
const MAX_NAME = 256;

/** What permissions.yaml says, read and checked. */
export interface FilePolicy {
  /** Every role that there is: the built-in ones, narrowed where the file does so, and the file's own. */
  readonly roles: ReadonlyMap<string, ReadonlySet<Permission>>;
  readonly bindings: readonly Binding[];
  readonly defaultRoles: readonly string[];
  readonly denials: readonly Denial[];
}

/** Injection token of the watched file. */
export const POLICY_FILE = Symbol('POLICY_FILE');

/**
 * Opens the file that POLICY_CONFIG names; where there is none the built-in roles stand by themselves.
 * @throws ConfigurationError with the path of every wrong field
 */
export const openPolicyFile = (config: Config): YamlFile<FilePolicy> =>
  new YamlFile(config.POLICY_CONFIG, policyFileSchema);

const name = z
  .string()
  .min(1)
  .max(MAX_NAME)
  .regex(/^\P{Cc}+$/u, 'contains control characters');
const roleName = z.string().regex(ROLE_NAME, 'not the name of a role: a-z 0-9 _ -, beginning with a letter');
const members = z
  .array(z.strictObject({ provider: name, name }))
  .min(1)
  .optional();

/** A permission, an alias of one, or `area:*`. */
const permissions = z.array(
  z.string().transform((entry, context): readonly Permission[] => {
    const named = permissionsNamed(entry);
    if (named !== null) return named;
    context.addIssue({ code: 'custom', message: `there is no permission ${JSON.stringify(entry.slice(0, 80))}` });
    return z.NEVER;
  }),
);

const binding = z
  .strictObject({ role: roleName, tenant: name.default(DEFAULT_TENANT), subjects: members, groups: members })
  .refine(
    ({ subjects, groups }) => subjects !== undefined || groups !== undefined,
    'names neither subjects nor groups',
  );

const denial = z
  .strictObject({
    permissions: permissions.min(1),
    tenant: name.optional(),
    subjects: members,
    groups: members,
    roles: z.array(roleName).min(1).optional(),
    everyone: z.literal(true).optional(),
  })
  .refine(
    ({ tenant, subjects, groups, roles, everyone }) =>
      tenant !== undefined || everyone === true || (subjects ?? groups ?? roles) !== undefined,
    'names nobody: needs a tenant, subjects, groups or roles, or "everyone: true"',
  )
  .refine(
    ({ subjects, groups, roles, everyone }) => everyone === undefined || (subjects ?? groups ?? roles) === undefined,
    'names everyone and somebody',
  );

const fileSchema = z.strictObject({
  role_permissions: z
    .record(roleName, permissions)
    .refine((roles) => Object.keys(roles).length <= MAX_ROLES, `more than ${MAX_ROLES} roles`)
    .default({}),
  role_bindings: z.array(binding).default([]),
  default_roles: z.array(roleName).max(MAX_DEFAULT_ROLES).default([]),
  // That a role does not reach beyond what is one's own cannot be turned off.
  ownership_rules: z.union([z.literal(true), z.record(z.string(), z.literal(true))], { error: 'only true' }).optional(),
  deny: z.array(denial).max(MAX_DENIALS).default([]),
});
type FileContent = z.output<typeof fileSchema>;

/** permissions.yaml, every mistake told with its path. */
export const policyFileSchema: z.ZodType<FilePolicy> = z.unknown().transform((content, context) => {
  const parsed = fileSchema.safeParse(content);
  const issues: readonly Mistake[] = parsed.success ? mistakes(parsed.data) : parsed.error.issues;
  for (const { path, message } of issues) context.addIssue({ code: 'custom', path: [...path], message });
  return parsed.success && issues.length === 0 ? toPolicy(parsed.data) : z.NEVER;
});

interface Mistake {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** What is wrong between fields that are each right by themselves. */
function mistakes(content: FileContent): Mistake[] {
  const roles = rolesOf(content);
  const unknown = (role: string, ...path: PropertyKey[]): Mistake[] =>
    roles.has(canonicalRole(role)) ? [] : [{ path, message: `there is no role ${role}` }];
  return [
    ...Object.entries(content.role_permissions).flatMap(([role, listed]) => widened(role, listed)),
    ...('readonly' in content.role_permissions && 'viewer' in content.role_permissions
      ? [{ path: ['role_permissions', 'readonly'], message: 'the same role as viewer, which is in here too' }]
      : []),
    ...content.role_bindings.flatMap(({ role }, index) => unknown(role, 'role_bindings', index, 'role')),
    ...content.default_roles.flatMap((role, index) => unknown(role, 'default_roles', index)),
    ...content.deny.flatMap((rule, index) =>
      (rule.roles ?? []).flatMap((role, at) => unknown(role, 'deny', index, 'roles', at)),
    ),
  ];
}

/** What a built-in role would get that it does not hold. */
function widened(role: string, listed: readonly (readonly Permission[])[]): Mistake[] {
  const builtIn = BUILT_IN_ROLES.get(canonicalRole(role));
  if (builtIn === undefined) return [];
  return listed.flatMap((entry, index) => {
    const beyond = entry.find((permission) => !builtIn.has(permission));
    const message = `${role} is built in and can only be narrowed; it does not hold ${String(beyond)}`;
    return beyond === undefined ? [] : [{ path: ['role_permissions', role, index], message }];
  });
}

function rolesOf({ role_permissions: listed }: FileContent): ReadonlyMap<string, ReadonlySet<Permission>> {
  const own = Object.entries(listed).map(([role, entries]) => [canonicalRole(role), new Set(entries.flat())] as const);
  return new Map([...BUILT_IN_ROLES, ...own]);
}

function toPolicy(content: FileContent): FilePolicy {
  return {
    roles: rolesOf(content),
    bindings: content.role_bindings.flatMap(({ role, tenant, subjects, groups }) =>
      toMembers(subjects, groups).map((member) => ({ tenant, role: canonicalRole(role), member })),
    ),
    defaultRoles: content.default_roles.map(canonicalRole),
    denials: content.deny.map(({ permissions: denied, tenant, subjects, groups, roles }) => ({
      permissions: new Set(denied.flat()),
      tenant: tenant ?? null,
      whom:
        (subjects ?? groups ?? roles) === undefined
          ? null
          : {
              members: new Set(toMembers(subjects, groups).map(memberKey)),
              roles: new Set((roles ?? []).map(canonicalRole)),
            },
    })),
  };
}

interface Named {
  readonly provider: string;
  readonly name: string;
}

const toMembers = (subjects: readonly Named[] = [], groups: readonly Named[] = []): readonly Member[] => [
  ...subjects.map((each) => ({ kind: 'subject', ...each }) as const),
  ...groups.map((each) => ({ kind: 'group', ...each }) as const),
];
