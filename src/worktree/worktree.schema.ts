/** One schema per command, for all transports. Field names are those of the wire. */
import { z } from 'zod';
import { isRefName } from './ref-name.js';
import { WORKTREE_STATES } from './worktree.entity.js';

const MAX_PATH_BYTES = 4096;
/** Files that one call names; more are several calls. */
const MAX_PATHS = 1000;
const MAX_GLOBS = 50;
const MAX_ARGUMENTS = 256;
const MAX_MESSAGE_BYTES = 65_536;

const id = z.uuid({ error: 'not a worktree id' }).regex(/^[0-9a-f-]+$/, 'not a worktree id');
const named = { id };
const plain = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^\P{Cc}+$/u, 'contains control characters');
const noNul = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[^\0]*$/, 'contains a NUL');
/** Refuses by the count, before each entry is looked at. */
const list = <T>(each: z.ZodType<T>, max: number, what: string) =>
  z
    .unknown()
    .refine((value) => !Array.isArray(value) || value.length <= max, `more than ${max} ${what}`)
    .pipe(z.array(each));
const path = z
  .string()
  .min(1)
  .regex(/^[^\0]*$/, 'contains a NUL')
  .refine((text) => Buffer.byteLength(text) <= MAX_PATH_BYTES, `more than ${MAX_PATH_BYTES} bytes`);
/** Below a worktree; where its links lead to is looked at where they are. */
const inside = path
  .refine((text) => !text.startsWith('/'), 'not below the worktree')
  .refine((text) => !text.split('/').includes('..'), 'not below the worktree');
const ref = z.string().refine(isRefName, 'not the name of a branch, tag or commit');
const remote = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/, 'not the name of a remote');
const commit = z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/, 'not the id of a commit');
const limit = z.int().min(1).max(100);

export const createSchema = z.strictObject({
  repository: path,
  name: plain(100),
  base_ref: ref.optional(),
  existing_branch: ref.optional(),
  fetch: z.boolean().default(false),
  copy: list(inside, MAX_GLOBS, 'globs').default([]),
  setup: list(noNul(4096), MAX_ARGUMENTS, 'arguments')
    .default([])
    .refine(([program]) => program !== '', 'the program is empty'),
  request_id: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,128}$/, '1 to 128 of A-Z a-z 0-9 . _ -')
    .optional(),
});
export type CreateCommand = z.output<typeof createSchema>;

export const worktreeSchema = z.strictObject(named);
export type WorktreeCommand = z.output<typeof worktreeSchema>;

export const listSchema = z.strictObject({
  state: z.enum(WORKTREE_STATES).optional(),
  repository: path.optional(),
  limit: limit.default(50),
  cursor: id.optional(),
});
export type ListCommand = z.output<typeof listSchema>;

export const statusSchema = z.strictObject({ ...named, disk_use: z.boolean().default(false) });
export type StatusCommand = z.output<typeof statusSchema>;

export const diffSchema = z.strictObject({ ...named, against: ref.optional(), path: inside.optional() });
export type DiffCommand = z.output<typeof diffSchema>;

export const logSchema = z.strictObject({
  ...named,
  limit: limit.default(50),
  after: commit.optional(),
  since_base: z.boolean().default(false),
});
export type LogCommand = z.output<typeof logSchema>;

export const rescuesSchema = z.strictObject({ limit: limit.default(50), cursor: id.optional() });
export type RescuesCommand = z.output<typeof rescuesSchema>;

export const pathsSchema = z.strictObject({ ...named, paths: list(inside, MAX_PATHS, 'paths').default([]) });
export type PathsCommand = z.output<typeof pathsSchema>;

export const discardSchema = z.strictObject({ ...named, path: inside });
export type DiscardCommand = z.output<typeof discardSchema>;

export const commitSchema = z.strictObject({
  ...named,
  message: z
    .string()
    .regex(/^[^\0]*$/, 'contains a NUL')
    .regex(/\S/, 'is empty')
    .refine((text) => Buffer.byteLength(text) <= MAX_MESSAGE_BYTES, `more than ${MAX_MESSAGE_BYTES} bytes`),
  all: z.boolean().default(false),
  session_id: z
    .uuid({ error: 'not a session id' })
    .regex(/^[0-9a-f-]+$/, 'not a session id')
    .optional(),
});
export type CommitCommand = z.output<typeof commitSchema>;

/** Without a name the runner takes `origin`, or the only one there is. */
export const pushSchema = z.strictObject({ ...named, remote: remote.default('') });
export type PushCommand = z.output<typeof pushSchema>;

export const integrateSchema = z.strictObject({ ...named, base_ref: ref.optional() });
export type IntegrateCommand = z.output<typeof integrateSchema>;

export const removeSchema = z.strictObject({
  ...named,
  force: z.boolean().default(false),
  confirm: plain(100).optional(),
  delete_branch: z.boolean().default(false),
});
export type RemoveCommand = z.output<typeof removeSchema>;

/** What the address of a REST call has as text. */
const flag = z.enum(['true', 'false'], { error: 'true or false' }).transform((text) => text === 'true');
const decimal = z
  .string()
  .regex(/^\d{1,3}$/, 'not a number')
  .transform(Number)
  .pipe(limit);
export const listQuerySchema = listSchema.extend({ limit: decimal.default(50) });
export const rescuesQuerySchema = rescuesSchema.extend({ limit: decimal.default(50) });
export const statusQuerySchema = z.strictObject({ disk_use: flag.default(false) });
export const diffQuerySchema = diffSchema.omit({ id: true });
export const logQuerySchema = logSchema
  .omit({ id: true })
  .extend({ limit: decimal.default(50), since_base: flag.default(false) });

/** The body of a REST call, whose worktree is named by the address; it may be absent where nothing in it is needed. */
const body = <S extends z.ZodType>(schema: S) => z.preprocess((value) => value ?? {}, schema);
export const pathsBodySchema = body(pathsSchema.omit({ id: true }));
export const discardBodySchema = body(discardSchema.omit({ id: true }));
export const commitBodySchema = body(commitSchema.omit({ id: true }));
export const pushBodySchema = body(pushSchema.omit({ id: true }));
export const integrateBodySchema = body(integrateSchema.omit({ id: true }));
export const removeBodySchema = body(removeSchema.omit({ id: true }));
