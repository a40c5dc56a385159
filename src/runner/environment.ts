import { isInheritedEnvironmentName, isRefusedEnvironmentName } from '../kernel/environment.js';
import { DomainError } from '../kernel/errors.js';

/** Marks every process of a session, so that strays are found when it is killed (process-tree.ts). */
export const SESSION_MARKER = 'GATEHOUSE_SESSION_ID';
/** Says which runner started it, so that the next one finds what is left when that was killed (leftovers.ts). */
export const RUNNER_MARKER = 'GATEHOUSE_RUNNER';

const DEFAULT_TERM = 'xterm-256color';

/**
 * The environment of a session's process: the allowed part of the runner's, then the caller's, then our markers.
 * @param base the runner's own environment
 * @param caller the variables the caller asked for
 * @param runner says which runner process this is
 * @throws DomainError INVALID_ARGUMENT naming a variable that is refused: nothing is dropped silently
 */
export function sessionEnvironment(
  base: Readonly<Record<string, string | undefined>>,
  caller: Readonly<Record<string, string>>,
  sessionId: string,
  runner: string,
): Record<string, string> {
  const environment: Record<string, string> = { TERM: DEFAULT_TERM };
  for (const [name, value] of Object.entries(base)) {
    if (value !== undefined && isInheritedEnvironmentName(name)) environment[name] = value;
  }
  for (const [name, value] of Object.entries(caller)) {
    checkVariable(name, value);
    environment[name] = value;
  }
  environment[SESSION_MARKER] = sessionId;
  environment[RUNNER_MARKER] = runner;
  return environment;
}

function checkVariable(name: string, value: string): void {
  if (name === '' || name.includes('=') || name.includes('\0')) {
    throw new DomainError('INVALID_ARGUMENT', 'The name of an environment variable is not valid.');
  }
  if (isRefusedEnvironmentName(name)) {
    throw new DomainError('INVALID_ARGUMENT', `The environment variable ${name} may not be set.`);
  }
  if (value.includes('\0')) {
    throw new DomainError('INVALID_ARGUMENT', `The environment variable ${name} contains a NUL character.`);
  }
}
