/** Where a program is: by its name in PATH, never by a path that somebody asks for. */
import { accessSync, constants, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { DomainError } from '../../kernel/errors.js';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/;
const MAX_SEARCHED = 256;

/**
 * Looks through the absolute folders of `path`.
 * @param field names the field in the error
 * @returns the program's place, undefined when there is none
 * @throws DomainError INVALID_ARGUMENT when `name` is no plain file name
 */
export function findProgram(name: string, path: string | undefined, field: string): string | undefined {
  if (!NAME.test(name)) {
    const problem = 'must be the name of a program, without a slash';
    throw new DomainError('INVALID_ARGUMENT', `${field} ${problem}.`, { details: { fields: [{ field, problem }] } });
  }
  const folders = (path ?? '').split(':').filter(isAbsolute).slice(0, MAX_SEARCHED);
  return folders.map((folder) => join(folder, name)).find(isProgram);
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
