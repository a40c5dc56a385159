import '../support/nest-first.js';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { QueryFailedError } from 'typeorm';
import { isDatabaseAway, isRowRefused } from '../../src/database/errors.js';
import { toDomainError } from '../../src/transport/error-mapping.js';

const coded = (code: string): Error => Object.assign(new Error('x'), { code });
const failed = (code: string): Error => new QueryFailedError('SELECT 1', [], coded(code));

describe('errors of the database', () => {
  it.each(
    'ECONNREFUSED ECONNRESET EPIPE ETIMEDOUT EHOSTUNREACH ENETUNREACH ENOTFOUND EAI_AGAIN 08006 53100 53300 57014 57P01 57P03 25006'.split(
      ' ',
    ),
  )('%s means that it is away, told as 503', (code) => {
    for (const error of [coded(code), failed(code)]) {
      expect([isDatabaseAway(error), isRowRefused(error)]).toEqual([true, false]);
      expect(toDomainError(error).code).toBe('DATABASE_UNAVAILABLE');
    }
  });

  it.each(['22021', '22P02', '23505', '23514'])('%s means that the row is refused', (code) => {
    for (const error of [coded(code), failed(code)])
      expect([isDatabaseAway(error), isRowRefused(error)]).toEqual([false, true]);
  });

  it.each(['42P01', '42601', 'ENOENT', 'EACCES', ''])('%s is neither', (code) => {
    expect([isDatabaseAway(coded(code)), isRowRefused(coded(code))]).toEqual([false, false]);
  });

  it('a socket that is not there is the database, a file that is not there is not', async () => {
    const missing = await new Promise<Error>((resolve) => connect('/nonexistent/.s.PGSQL.5432').once('error', resolve));
    expect(isDatabaseAway(missing)).toBe(true);
    let error: unknown;
    try {
      readFileSync('/nonexistent/file');
    } catch (thrown) {
      error = thrown;
    }
    expect([isDatabaseAway(error), toDomainError(error).code]).toEqual([false, 'INTERNAL_ERROR']);
  });
});
