import type { Config } from '../config/load.js';
import { DomainError } from '../kernel/errors.js';
import type { StartCommand } from './pty.schema.js';
import type { SessionEntity } from './session.entity.js';

type Times = Pick<SessionEntity, 'idleTimeoutSeconds' | 'maxDurationSeconds'>;
const FIELDS = ['idle_timeout_seconds', 'max_duration_seconds'] as const;

/**
 * How long a session may go on: what its caller asked for, else what is configured.
 * @throws DomainError INVALID_ARGUMENT for more than any session may
 */
export function timesOf(command: StartCommand, config: Config): Times {
  const { SESSION_IDLE_TIMEOUT_SECONDS: idle, SESSION_MAX_DURATION_SECONDS: max } = config;
  const problem = `at most ${max}`;
  const fields = FIELDS.filter((field) => (command[field] ?? 0) > max).map((field) => ({ field, problem }));
  const [first] = fields;
  if (first) throw new DomainError('INVALID_ARGUMENT', `${first.field}: ${problem}`, { details: { fields } });
  const { idle_timeout_seconds: idleAsked = idle, max_duration_seconds: maxAsked = max } = command;
  return { idleTimeoutSeconds: idleAsked === 0 ? null : idleAsked, maxDurationSeconds: maxAsked };
}
