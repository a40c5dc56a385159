/** One schema per command, for all three transports. Field names are those of the wire. */
import { z } from 'zod';
import { SESSION_STATES } from './session.entity.js';
import { SIGNALS } from '../kernel/terminal.js';
import { argumentList, cols, directory, environment, plain, requestId, rows } from './start-fields.js';

/** Bytes of input in one message; a larger paste is several. */
export const MAX_INPUT_BYTES = 65_536;
const MAX_OUTPUT_BYTES = 1_048_576;

const id = z.uuid({ error: 'not a session id' }).regex(/^[0-9a-f-]+$/, 'not a session id');
const offset = z.int().min(0);
const MAX_ARGUMENTS = 256;

/** At most what is configured, which the service knows. */
const seconds = z.int().min(1);

const startFields = z.strictObject({
  name: plain(100).optional(),
  command: argumentList(MAX_ARGUMENTS).refine(([program]) => program !== '', 'the program is empty'),
  cwd: directory.optional(),
  env: environment,
  cols: cols.default(80),
  rows: rows.default(24),
  idle_timeout_seconds: seconds.optional(),
  max_duration_seconds: seconds.optional(),
  request_id: requestId.optional(),
  worktree_id: z
    .uuid({ error: 'not a worktree id' })
    .regex(/^[0-9a-f-]+$/, 'not a worktree id')
    .optional(),
});
export const startSchema = startFields.refine(
  ({ cwd, worktree_id }) => cwd === undefined || worktree_id === undefined,
  {
    path: ['cwd'],
    error: 'not together with worktree_id',
  },
);
export type StartCommand = z.output<typeof startSchema>;

export const sessionSchema = z.strictObject({ id });
export type SessionCommand = z.output<typeof sessionSchema>;

export const listSchema = z.strictObject({
  state: z.enum(SESSION_STATES).optional(),
  limit: z.int().min(1).max(100).default(50),
  cursor: id.optional(),
});
export type ListCommand = z.output<typeof listSchema>;

const input = z.instanceof(Uint8Array).refine((data) => data.length > 0 && data.length <= MAX_INPUT_BYTES, {
  error: `1 to ${MAX_INPUT_BYTES} bytes`,
});
export const writeSchema = z.strictObject({ id, data: input });
export type WriteCommand = z.output<typeof writeSchema>;

const size = { cols, rows };
export const resizeSchema = z.strictObject({ id, ...size });
export type ResizeCommand = z.output<typeof resizeSchema>;

const signal = z.enum(SIGNALS);
export const signalSchema = z.strictObject({ id, signal });
export type SignalCommand = z.output<typeof signalSchema>;

export const outputSchema = z.strictObject({
  id,
  from: offset.optional(),
  limit: z.int().min(1).max(MAX_OUTPUT_BYTES).default(65_536),
});
export type OutputCommand = z.output<typeof outputSchema>;

/** Longest wait of one call: a program asks again. */
const MAX_WAIT_SECONDS = 3600;
/** Over HTTP, where proxies give up on a silent answer. */
const MAX_POLL_SECONDS = 60;
export const waitSchema = z.strictObject({
  id,
  timeout_seconds: z.int().min(1).max(MAX_WAIT_SECONDS).default(MAX_WAIT_SECONDS),
});
export type WaitCommand = z.output<typeof waitSchema>;

export const streamOutputSchema = z.strictObject({ id, from: offset.optional() });
export type StreamOutputCommand = z.output<typeof streamOutputSchema>;

export const attachSchema = z.strictObject({
  session: id,
  from: offset.optional(),
  mode: z.enum(['controller', 'viewer']).optional(),
  cols: cols.optional(),
  rows: rows.optional(),
  epoch: plain(64).optional(),
  writer_id: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, '1 to 64 of A-Z a-z 0-9 _ -')
    .optional(),
});
export type AttachCommand = z.output<typeof attachSchema>;

/** A number in the query of an address: plain decimal digits, then the rule of the same field elsewhere. */
const decimal = (rule: z.ZodType<number, number>) =>
  z
    .string()
    .regex(/^\d{1,16}$/, 'not a number')
    .transform(Number)
    .pipe(rule);

/** The same attach, as the query of `/ws/pty`. */
export const attachByAddressSchema = z.strictObject({
  id,
  from: decimal(offset).optional(),
  mode: attachSchema.shape.mode,
  cols: decimal(cols).optional(),
  rows: decimal(rows).optional(),
  epoch: attachSchema.shape.epoch,
  writer_id: attachSchema.shape.writer_id,
});

/** `GET /sessions`, `GET /sessions/:id/output` and `GET /sessions/:id/wait`, whose numbers are text in the address. */
export const listQuerySchema = z.strictObject({
  state: listSchema.shape.state,
  limit: decimal(z.int().min(1).max(100)).default(50),
  cursor: listSchema.shape.cursor,
});
export const outputQuerySchema = z.strictObject({
  from: decimal(offset).optional(),
  limit: decimal(z.int().min(1).max(MAX_OUTPUT_BYTES)).default(65_536),
});

export const waitQuerySchema = z.strictObject({
  timeout_seconds: decimal(z.int().min(1).max(MAX_POLL_SECONDS)).default(MAX_POLL_SECONDS),
});

/** What a frame of an attachment carries, without the naming of its session. */
export const frameSchemas = {
  input: z.strictObject({ data: input, offset: offset.optional() }),
  resize: z.strictObject(size),
  signal: z.strictObject({ signal }),
  ack: z.strictObject({ offset }),
} as const;
