import { readFileSync, writeFileSync } from 'node:fs';
import { isId, newId } from '../kernel/ids.js';
import { errnoOf } from './errno.js';

/**
 * The runner's id, which outlives its process: gateways tell by it which sessions a new runner should hold.
 * @param file where it is kept; made at the first start
 * @throws Error when the file holds something else
 */
export function runnerId(file: string): string {
  try {
    writeFileSync(file, `${newId()}\n`, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
  const id = readFileSync(file, 'utf8').trim();
  if (!isId(id)) throw new Error(`${file} does not hold a runner's id; remove it to give this runner a new one`);
  return id;
}
