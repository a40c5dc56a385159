import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { ConfigurationError, loadConfig } from '../../src/config/load.js';
import { environmentSchema } from '../../src/config/schema.js';
import { inheritedEnvironment } from '../../src/config/inherited-environment.js';

function problemsOf(environment: Record<string, string>): readonly string[] {
  try {
    loadConfig({ NODE_ENV: 'production', AUTH_SECRET: 'x'.repeat(32), ...environment });
    return [];
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
}

describe('configuration', () => {
  it('.env.example lists every variable with its default, and no other', () => {
    const lines = readFileSync('.env.example', 'utf8').matchAll(/^(# )?([A-Z_]+)=(.*)$/gm);
    const listed = new Map(
      [...lines].map(([, commented, name = '', value = '']) => [name, commented === undefined ? value : null]),
    );
    const defaults = environmentSchema.parse({}) as Record<string, unknown>;
    expect([...listed.keys()].sort()).toEqual(Object.keys(environmentSchema.shape).sort());
    for (const [name, value] of listed)
      expect([name, value]).toEqual([name, name in defaults ? String(defaults[name]) : null]);
  });

  it('tells every mistake at once, with what was found and what was expected', () => {
    const problems = problemsOf({ HTTP_PORT: 'http', BCRYPT_COST: '9', LOG_LEVEL: 'loud', RUNNER_PERSIST: 'yes' });
    expect(problems).toHaveLength(4);
    expect(problems.join('\n')).toContain('HTTP_PORT: found "http", expected a whole number from 0 to 65535');
  });

  it.each([
    ['a short secret', { AUTH_SECRET: 'short' }],
    ['a published secret', { AUTH_SECRET: 'dev-secret-change-in-production' }],
    ['a published secret made longer', { AUTH_SECRET: 'changeme'.padEnd(40, '!') }],
    ['no secret in production', { AUTH_SECRET: '' }],
    [
      'a predecessor without a secret',
      { AUTH_SECRET: '', NODE_ENV: 'development', AUTH_SECRET_PREVIOUS: 'p'.repeat(32) },
    ],
    ['one port for both', { HTTP_PORT: '5000', GRPC_PORT: '5000' }],
    ['a database that is no PostgreSQL', { DATABASE_URL: 'mysql://root:hunter2@localhost/x' }],
    ['a port with a sign', { HTTP_PORT: '+80' }],
    ['a port in hex', { HTTP_PORT: '0x50' }],
  ])('refuses %s, without showing a secret', (_what, environment) => {
    const problems = problemsOf(environment);
    expect(problems).not.toEqual([]);
    expect(problems.join()).not.toMatch(/hunter2|changeme|dev-secret|short/);
  });

  it('passes nothing of the server on to the runner', () => {
    const passed = inheritedEnvironment({
      PATH: '/clone/node_modules/.bin:/usr/bin',
      HOME: '/home/me',
      AUTH_SECRET: 'x',
      DATABASE_URL: 'y',
      npm_config_token: 'z',
      LD_PRELOAD: '/x.so',
    });
    expect(passed).toEqual({ PATH: '/usr/bin', HOME: '/home/me' });
  });
});
