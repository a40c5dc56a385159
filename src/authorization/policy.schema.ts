import { z } from 'zod';
import { isPermission, type Permission } from './permissions.js';
import { ROLE_NAME } from './roles.js';

const MAX_LISTED = 100;

const name = z
  .string()
  .min(1)
  .max(256)
  .regex(/^\P{Cc}+$/u, 'contains control characters')
  .refine((text) => text.isWellFormed(), 'contains half a character');
const role = z.string().regex(ROLE_NAME, 'not the name of a role');

/** `PUT` and `DELETE /policy/bindings`. */
export const bindingSchema = z.strictObject({
  role,
  member: z.strictObject({ kind: z.enum(['subject', 'group']), provider: name, name }),
});
export type BindingCommand = z.output<typeof bindingSchema>;

/** A cursor is the number of the next binding of the file, or the id of the last stored one. */
const cursor = z.union([
  z
    .string()
    .regex(/^file:\d{1,7}$/)
    .transform((text) => ({ file: Number(text.slice('file:'.length)) })),
  z.uuid().transform((id) => ({ stored: id.toLowerCase() })),
]);

/** `GET /policy/bindings`, whose numbers are text in the address. */
export const bindingsQuerySchema = z.strictObject({
  limit: z
    .string()
    .regex(/^\d{1,3}$/, 'not a number')
    .transform(Number)
    .pipe(z.int().min(1).max(MAX_LISTED))
    .default(50),
  cursor: z.string().max(64).pipe(cursor).default({ file: 0 }),
});
export type BindingsQuery = z.output<typeof bindingsQuerySchema>;

const permission = z.string().transform((text, context): Permission => {
  if (isPermission(text)) return text;
  context.addIssue({ code: 'custom', message: 'there is no such permission' });
  return z.NEVER;
});

/** `POST /policy/explain`: about a subject, as it is or as it would be, or about a key. */
export const explainSchema = z
  .strictObject({
    subject: name.optional(),
    provider: name.optional(),
    groups: z.array(name).max(200).optional(),
    roles: z.array(name).max(100).optional(),
    scopes: z.array(name).max(100).optional(),
    tenant: name.optional(),
    key: z
      .string()
      .regex(/^[0-9A-Za-z]{16}$/, 'not the id of a key')
      .optional(),
    permission,
    resource: z
      .string()
      .regex(/^[a-z_]{1,32}:[\x21-\x7e]{1,256}$/, 'not a resource such as session:<id>')
      .optional(),
  })
  .refine(({ subject, key }) => (subject === undefined) !== (key === undefined), {
    path: ['subject'],
    error: 'either a subject or a key',
  })
  .refine(
    ({ key, provider, groups, roles, scopes }) =>
      key === undefined || [provider, groups, roles, scopes].every((each) => each === undefined),
    { path: ['key'], error: 'a key has its own roles and scopes, and those of its owner' },
  );
export type ExplainCommand = z.output<typeof explainSchema>;
