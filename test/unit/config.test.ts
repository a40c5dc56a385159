import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { prepareDataDirectory } from '../../src/config/data-directory.js';
import { ConfigurationError, inspectConfig, loadConfig } from '../../src/config/load.js';
import { localSecret } from '../../src/config/local-secret.js';
import { environmentSchema } from '../../src/config/schema.js';
import { inheritedEnvironment } from '../../src/config/inherited-environment.js';

const MASTER_KEY = 'hc8QWHIhVsPPJ0iTUnwqzXLcS5TfKZyDSYFZTyAWPR0=';

function problemsOf(environment: Record<string, string>): readonly string[] {
  try {
    loadConfig({
      ...{ NODE_ENV: 'production', TLS_TERMINATED_BY_PROXY: 'true', AUTH_SECRET: 'x'.repeat(32) },
      ...environment,
    });
    return [];
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
}

const TLS = { TLS_ENABLED: 'true', TLS_TERMINATED_BY_PROXY: '' };

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

  it('that is wrong is told with what is right of it, for who has to go on with it', () => {
    const { config, problems } = inspectConfig({
      NODE_ENV: 'test',
      HTTP_PORT: 'http',
      DATA_DIR: '/x',
      BCRYPT_COST: '11',
    });
    expect(problems).toHaveLength(1);
    expect(config).toMatchObject({ HTTP_PORT: 8080, dataDir: '/x', BCRYPT_COST: 11, production: false });
  });

  it('takes platform administrators by tenant, provider and subject, and no other way', () => {
    const named = loadConfig({ PLATFORM_ADMINS: 'default/gatehouse/ann, a/b/user:default/x', NODE_ENV: 'test' });
    expect(named.PLATFORM_ADMINS).toEqual([
      { tenant: 'default', provider: 'gatehouse', subject: 'ann' },
      { tenant: 'a', provider: 'b', subject: 'user:default/x' },
    ]);
    for (const wrong of ['ann', 'default/ann', 'default//ann', '/gatehouse/ann'])
      expect(problemsOf({ PLATFORM_ADMINS: wrong })).toEqual([expect.stringContaining('tenant/provider/subject')]);
  });

  it('listens on one address where localhost is asked for', () => {
    expect(loadConfig({ HOST: 'localhost', NODE_ENV: 'test' }).HOST).toBe('127.0.0.1');
  });

  it.each([
    ['a webhook without TLS', { SLACK_WEBHOOK_URL: 'http://hooks.slack.com/services/hunter2' }],
    ['a webhook that is no address', { ALERT_WEBHOOK_SECURITY: 'hunter2' }],
    [
      'too many webhooks',
      Object.fromEntries(
        Array.from({ length: 21 }, (_, index) => [`ALERT_WEBHOOK_${index}`, 'https://x.example.com/hunter2']),
      ),
    ],
    ['a webhook with a password', { ALERT_WEBHOOK_SECURITY: 'https://me:hunter2@chat.example.com/' }],
    ['a short secret', { AUTH_SECRET: 'short' }],
    ['a published secret', { AUTH_SECRET: 'dev-secret-change-in-production' }],
    ['a published secret made longer', { AUTH_SECRET: 'changeme'.padEnd(40, '!') }],
    ['no secret in production', { AUTH_SECRET: '' }],
    [
      'a predecessor without a secret',
      { AUTH_SECRET: '', NODE_ENV: 'development', AUTH_SECRET_PREVIOUS: 'p'.repeat(32) },
    ],
    ['a master key that is a passphrase', { ENCRYPTION_MASTER_KEY: 'changeme changeme changeme changeme changeme' }],
    ['a previous master key without one', { ENCRYPTION_MASTER_KEY_PREVIOUS: MASTER_KEY }],
    [
      'the same master key twice',
      { ENCRYPTION_MASTER_KEY: MASTER_KEY, ENCRYPTION_MASTER_KEY_PREVIOUS: MASTER_KEY.replace('=', '') },
    ],
    ['one port for both', { HTTP_PORT: '5000', GRPC_PORT: '5000' }],
    ['a database that is no PostgreSQL', { DATABASE_URL: 'mysql://root:hunter2@localhost/x' }],
    ['a database whose address says how it is encrypted', { DATABASE_URL: 'postgres://localhost/x?sslmode=disable' }],
    ['the same in other words', { DATABASE_URL: 'postgres://localhost/x?application_name=y&%73sl=0#z' }],
    ['the same by compatibility', { DATABASE_URL: 'postgresql://localhost/x?uselibpqcompat=true' }],
    ['a Redis that is none', { REDIS_URL: 'https://:hunter2@localhost' }],
    ['a longest lockout that is shorter than the first', { LOCKOUT_MAX_SECONDS: '299' }],
    ['no limit at all', { RATE_LIMIT_STRANGER_PER_MINUTE: '0' }],
    ['a port with a sign', { HTTP_PORT: '+80' }],
    ['a port in hex', { HTTP_PORT: '0x50' }],
    ['a runner’s folder that depends on the working directory', { RUNNER_DIR: 'run' }],
    ['a part of a runner on another machine', { RUNNER_HOST: 'runner.example.com' }],
    ['a host with its port', { RUNNER_HOST: 'runner.example.com:7443' }],
    ['a runner’s folder too long for its sockets', { RUNNER_DIR: `/${'x'.repeat(84)}` }],
  ])('refuses %s, without showing a secret', (_what, environment) => {
    const problems = problemsOf(environment);
    expect(problems).not.toEqual([]);
    expect(problems.join()).not.toMatch(/hunter2|changeme|dev-secret|short|hc8Q/);
  });

  it.each([
    [
      'production without TLS',
      { TLS_TERMINATED_BY_PROXY: '' },
      /^TLS_ENABLED: found false .*expected true, or TLS_TERMINATED_BY_PROXY=true/,
    ],
    [
      'TLS here and in a proxy',
      { TLS_ENABLED: 'true' },
      /^TLS_TERMINATED_BY_PROXY: found true .*expected one of the two/,
    ],
    [
      'certificates of clients without TLS',
      { TLS_CLIENT_AUTH: 'require' },
      /^TLS_CLIENT_AUTH: found "require" without TLS_ENABLED/,
    ],
    [
      'clients to be verified by nobody',
      { ...TLS, TLS_CLIENT_AUTH: 'verify' },
      /^TLS_CLIENT_CA_FILE: not set while TLS_CLIENT_AUTH is "verify"/,
    ],
    [
      'an authority without clients',
      { ...TLS, TLS_CLIENT_CA_FILE: 'ca.crt' },
      /^TLS_CLIENT_CA_FILE: set while TLS_CLIENT_AUTH is "none"/,
    ],
    ['another version of TLS', { TLS_MIN_VERSION: '1.1' }, /^TLS_MIN_VERSION: found "1.1", expected 1.2 or 1.3/],
    [
      'another way with clients',
      { TLS_CLIENT_AUTH: 'optional' },
      /^TLS_CLIENT_AUTH: found "optional", expected none, request, require or verify/,
    ],
    ['a word in the place of yes', { TLS_ENABLED: '1' }, /^TLS_ENABLED: found "1", expected true or false/],
    ['every site in production', { CORS_ALLOWED_ORIGINS: '*' }, /^CORS_ALLOWED_ORIGINS: found \* in production/],
    [
      'every site with credentials',
      { NODE_ENV: 'test', CORS_ALLOWED_ORIGINS: '*', CORS_ALLOW_CREDENTIALS: 'true' },
      /^CORS_ALLOWED_ORIGINS: found \* while CORS_ALLOW_CREDENTIALS/,
    ],
    [
      'every site and some',
      { NODE_ENV: 'test', CORS_ALLOWED_ORIGINS: '*,https://a.example' },
      /^CORS_ALLOWED_ORIGINS: found \* beside others/,
    ],
    [
      'credentials of no site',
      { CORS_ALLOW_CREDENTIALS: 'true' },
      /^CORS_ALLOW_CREDENTIALS: found true without CORS_ALLOWED_ORIGINS/,
    ],
    [
      'a site with a path',
      { CORS_ALLOWED_ORIGINS: 'https://a.example/' },
      /^CORS_ALLOWED_ORIGINS: found "https:\/\/a.example\/", expected origins/,
    ],
    ['a pattern of sites', { CORS_ALLOWED_ORIGINS: 'https://*.example' }, /^CORS_ALLOWED_ORIGINS: found/],
    ['a site that is a file', { CORS_ALLOWED_ORIGINS: 'null' }, /^CORS_ALLOWED_ORIGINS: found/],
    ['a usual port said', { CORS_ALLOWED_ORIGINS: 'https://a.example:443' }, /^CORS_ALLOWED_ORIGINS: found/],
    [
      'too many sites',
      { CORS_ALLOWED_ORIGINS: Array.from({ length: 1001 }, (_, at) => `http://a${at}`).join() },
      /^CORS_ALLOWED_ORIGINS: found 1001 origins, expected 1000/,
    ],
    [
      'a name with a port',
      { ALLOWED_HOSTS: 'a.example:8080' },
      /^ALLOWED_HOSTS: found "a.example:8080", expected names/,
    ],
    ['any name', { ALLOWED_HOSTS: '*' }, /^ALLOWED_HOSTS: found/],
  ])('does not start unsafely: %s', (_what, environment, words) => {
    expect(problemsOf(environment)).toEqual([expect.stringMatching(words)]);
  });

  it.each([{ ...TLS }, { TLS_TERMINATED_BY_PROXY: 'true' }])('starts in production with TLS: %j', (environment) => {
    expect(problemsOf(environment)).toEqual([]);
  });

  it('takes webhooks by https, and by http on loopback', () => {
    const [SLACK_WEBHOOK_URL, ALERT_WEBHOOK_2] = ['https://hooks.slack.com/services/T/B/x', 'http://127.0.0.1:9/x'];
    const { webhooks } = loadConfig({ NODE_ENV: 'test', SLACK_WEBHOOK_URL, ALERT_WEBHOOK_2 });
    expect(Object.fromEntries(webhooks)).toEqual({ SLACK_WEBHOOK_URL, ALERT_WEBHOOK_2 });
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

describe('the data folder', () => {
  const place = mkdtempSync(join(tmpdir(), 'gatehouse-'));
  afterAll(() => {
    rmSync(place, { recursive: true });
  });
  const modeOf = (path: string): number => statSync(path).mode & 0o7777;

  it('is made closed, however deep', () => {
    prepareDataDirectory(join(place, 'a', 'b'));
    expect([modeOf(join(place, 'a')), modeOf(join(place, 'a', 'b'))]).toEqual([0o700, 0o700]);
  });

  it.each([0o700, 0o750, 0o755])('with mode %s is taken as it is', (mode) => {
    const path = join(place, mode.toString(8));
    mkdirSync(path);
    chmodSync(path, mode);
    prepareDataDirectory(path);
    expect(modeOf(path)).toBe(mode);
  });

  it.each([0o777, 0o1777, 0o775])('with mode %s is refused and left alone', (mode) => {
    const path = join(place, mode.toString(8));
    mkdirSync(path);
    chmodSync(path, mode);
    expect(() => {
      prepareDataDirectory(path);
    }).toThrow(`other users may write ${JSON.stringify(path)} (mode ${mode.toString(8)})`);
    expect(modeOf(path)).toBe(mode);
  });
});

describe('a secret that is made here', () => {
  const place = mkdtempSync(join(tmpdir(), 'gatehouse-'));
  afterAll(() => {
    rmSync(place, { recursive: true });
  });

  it('is made once, closed to others, and leaves nothing else behind', () => {
    const path = join(place, 'secret');
    const made = localSecret(path);
    expect(made.created).toBe(true);
    expect(Buffer.byteLength(made.value)).toBeGreaterThanOrEqual(32);
    expect(localSecret(path)).toEqual({ value: made.value, created: false });
    expect([readdirSync(place), statSync(path).mode & 0o777]).toEqual([['secret'], 0o600]);
  });

  it.each(['', '\n', 'x'.repeat(31), ' '.repeat(64)])('is refused when its file was cut off: %j', (content) => {
    const path = join(place, 'cut');
    writeFileSync(path, content, { mode: 0o600 });
    expect(() => localSecret(path)).toThrow(ConfigurationError);
    expect(readFileSync(path, 'utf8')).toBe(content);
  });

  it('is refused when others can read it', () => {
    const path = join(place, 'open');
    localSecret(path);
    for (const mode of [0o644, 0o640, 0o604]) {
      chmodSync(path, mode);
      expect(() => localSecret(path)).toThrow(/others may read the secret .*expected 600/);
    }
  });

  it('is refused where it cannot be made, in a sentence', () => {
    expect(() => localSecret('/proc/gatehouse-secret')).toThrow(/cannot be made or read \(E[A-Z]+\)/);
  });
});
