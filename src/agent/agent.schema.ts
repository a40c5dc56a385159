/** One schema per command, for all three transports. Field names are those of the wire. */
import { z } from 'zod';
import { argumentList, cols, directory, environment, plain, requestId, rows } from '../pty/start-fields.js';
import { createSchema } from '../worktree/worktree.schema.js';
import { AGENT_STATES } from './agent.entity.js';
import { PROVIDER_ID } from './providers/provider.schema.js';

/** Characters of a prompt or message. */
export const MAX_TEXT = 100_000;
const MAX_ARGUMENTS = 64;

const id = z.uuid({ error: 'not an id' }).regex(/^[0-9a-f-]+$/, 'not an id');
/** What is typed into a program: lines and tabs, and nothing that a terminal takes for a command. */
const text = z
  .string()
  .min(1)
  .max(MAX_TEXT)
  .regex(/^(?:[\t\n\r]|\P{Cc})+$/u, 'contains control characters');
export const startSchema = z
  .strictObject({
    provider: z.string().regex(PROVIDER_ID, 'not the id of a provider'),
    name: plain(100).optional(),
    prompt: text.optional(),
    worktree_id: id.optional(),
    // Its own request is not repeated without the agent's.
    create_worktree: createSchema.omit({ request_id: true }).optional(),
    cwd: directory.optional(),
    share_worktree: z.boolean().default(false),
    args: argumentList(MAX_ARGUMENTS),
    // Part of a command line: nothing that could be taken for an option.
    model: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$/, 'not the name of a model')
      .optional(),
    approve: z.enum(['ask', 'auto']).default('ask'),
    env: environment,
    cols: cols.default(80),
    rows: rows.default(24),
    max_run_seconds: z.int().min(1).optional(),
    binary: plain(64).optional(),
    request_id: requestId.optional(),
  })
  .refine(({ worktree_id, create_worktree, cwd }) => [worktree_id, create_worktree, cwd].filter(Boolean).length <= 1, {
    path: ['worktree_id'],
    message: 'one of worktree_id, create_worktree and cwd at most',
  });
export type StartCommand = z.output<typeof startSchema>;

export const agentSchema = z.strictObject({ id });
export type AgentCommand = z.output<typeof agentSchema>;

export const listSchema = z.strictObject({
  state: z.enum(AGENT_STATES).optional(),
  worktree_id: id.optional(),
  limit: z.int().min(1).max(100).default(50),
  cursor: id.optional(),
});
export type ListCommand = z.output<typeof listSchema>;

/** The same in an address, where numbers are text. */
export const listQuerySchema = z.strictObject({
  ...listSchema.shape,
  limit: z
    .string()
    .regex(/^\d{1,3}$/, 'not a number')
    .transform(Number)
    .pipe(z.int().min(1).max(100))
    .default(50),
});

export const messageSchema = z.strictObject({ id, text, draft: z.boolean().default(false) });
export type MessageCommand = z.output<typeof messageSchema>;

const answer = { prompt_id: plain(64), approve: z.boolean().optional(), option_id: plain(128).optional() };
/** Either of both says it. */
const once = <T extends z.ZodType<{ readonly approve?: boolean | undefined; readonly option_id?: string | undefined }>>(
  schema: T,
): T =>
  schema.refine(({ approve, option_id }) => (approve === undefined) !== (option_id === undefined), {
    path: ['approve'],
    message: 'either approve or option_id',
  });
export const answerSchema = once(z.strictObject({ id, ...answer }));
/** Without the naming of the agent. */
export const answerBody = once(z.strictObject(answer));
export type AnswerCommand = z.output<typeof answerSchema>;

export const resumeSchema = z.strictObject({
  id,
  prompt: text.optional(),
  env: environment,
  cols: cols.optional(),
  rows: rows.optional(),
});
export type ResumeCommand = z.output<typeof resumeSchema>;

export const watchSchema = z.strictObject({ id: id.optional() });
export type WatchCommand = z.output<typeof watchSchema>;
