import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CHECKS, type Finding } from '../../src/operator/finding.js';
import { gatehouse as run, type Outcome } from '../support/command-line.js';
import { SECRET, TestGateway } from '../support/gateway.js';
import { rest } from '../support/rest.js';

const KEY = randomBytes(32).toString('base64');
const LOGIN = `doctor_${String(process.pid)}`;

describe('gatehouse doctor and config check', () => {
  let gateway: TestGateway;
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-doctor-'));

  /** The variables of the gateway, and others in their place. */
  const environment = (more: Record<string, string> = {}): Record<string, string> => ({
    ...{ NODE_ENV: 'test', AUTH_SECRET: SECRET, DATA_DIR: gateway.dataDir, DATABASE_URL: gateway.databaseUrl ?? '' },
    ...{ ENCRYPTION_MASTER_KEY: KEY, ...more },
  });
  const doctor = async (more: Record<string, string> = {}): Promise<Outcome & { found: (id: string) => Finding }> => {
    const outcome = await run(['doctor', '--json'], { env: environment(more), cwd: folder });
    const { findings } = JSON.parse(outcome.stdout) as { findings: Finding[] };
    expect(findings.map(({ id }) => id)).toEqual(Object.keys(CHECKS));
    const found = (id: string): Finding => findings.find((each) => each.id === id) ?? fail(id);
    return { ...outcome, found };
  };
  const fail = (id: string): never => {
    throw new Error(`no finding ${id}`);
  };
  const states = (found: (id: string) => Finding, ...ids: string[]): string[] => ids.map((id) => found(id).state);

  beforeAll(async () => {
    gateway = await TestGateway.start({ ENCRYPTION_MASTER_KEY: KEY });
    const { status } = await rest(gateway, gateway.adminKey, 'PUT', '/api/v1/secrets/slack', { value: 'kept-value' });
    expect(status).toBe(201);
    await gateway.query(`CREATE ROLE ${LOGIN} LOGIN PASSWORD 'hunter2'`);
    await gateway.query(`GRANT SELECT ON migrations, sealed_secrets, api_keys TO ${LOGIN}`);
  });
  afterAll(async () => {
    await gateway.query(`DROP OWNED BY ${LOGIN}`);
    await gateway.query(`DROP ROLE ${LOGIN}`);
    await gateway.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  it('looks at a gateway that runs, its database and what it keeps, and ends with 1 for warnings alone', async () => {
    const { status, stdout, found } = await doctor();
    expect(status).toBe(1);
    expect(states(found, 'config.valid', 'database.reachable', 'database.migrations', 'secrets.sealed')).toEqual(
      Array(4).fill('ok'),
    );
    expect(states(found, 'database.clock', 'files.data_dir', 'network.bind', 'machine.node')).toEqual(
      Array(4).fill('ok'),
    );
    // The tests' login is a superuser, and the key of the first start is in use.
    expect(states(found, 'config.mode', 'database.role', 'database.audit_tables', 'access.first_key')).toEqual(
      Array(4).fill('warning'),
    );
    for (const secret of [SECRET, KEY, 'kept-value', gateway.adminKey]) expect(stdout).not.toContain(secret);
  });

  it('finds nothing wrong with a login that owns nothing, and a first key that was revoked', async () => {
    const url = new URL(gateway.databaseUrl ?? '');
    [url.username, url.password] = [LOGIN, 'hunter2'];
    const [, , id = ''] = gateway.adminKey.split('_');
    await gateway.query(`UPDATE api_keys SET revoked_at = now() WHERE id = $1`, [id]);
    const { found, stdout } = await doctor({ DATABASE_URL: url.href });
    const ids = ['database.role', 'database.audit_tables', 'access.first_key', 'database.migrations', 'secrets.sealed'];
    expect(states(found, ...ids)).toEqual(Array(5).fill('ok'));
    expect(stdout).not.toContain('hunter2');
  });

  it('finds what cannot be opened, what others may read, and a gateway that anybody reaches: problems, and status 2', async () => {
    const open = join(gateway.dataDir, 'audit-signing-key.pem');
    chmodSync(open, 0o644);
    const other = {
      ENCRYPTION_MASTER_KEY: randomBytes(32).toString('hex'),
      HOST: '0.0.0.0',
      TRUSTED_PROXIES: '0.0.0.0/0',
    };
    const { status, found } = await doctor(other);
    chmodSync(open, 0o600);
    expect(status).toBe(2);
    expect(states(found, 'secrets.sealed', 'files.secrets', 'network.bind', 'network.proxies')).toEqual(
      Array(4).fill('problem'),
    );
    expect(found('secrets.sealed').what).toMatch(
      /1 of 1 cannot be opened\nslack of the tenant default: the master key/,
    );
    expect(found('files.secrets').what).toContain('audit-signing-key.pem');
  });

  it('looks at the rest when the configuration is wrong, the database refuses, and shows no secret', async () => {
    const url = new URL(gateway.databaseUrl ?? '');
    [url.username, url.password] = [LOGIN, 'not-the-password'];
    const wrong = { HTTP_PORT: 'http', DATABASE_URL: url.href, AUTH_SECRET: 'too-short' };
    const { status, stdout, found } = await doctor(wrong);
    expect([status, found('config.valid').what]).toEqual([2, expect.stringContaining('HTTP_PORT: found "http"')]);
    expect(found('database.reachable')).toMatchObject({ state: 'problem', what: expect.stringContaining('password') });
    expect(states(found, 'machine.disk', 'database.role')).toEqual(['ok', 'skipped']);
    expect(stdout).not.toMatch(/not-the-password|too-short/);
    const garbled = await doctor({ DATABASE_URL: 'postgres://me:hunter2@%zz/db' });
    expect(garbled.found('database.reachable').state).toBe('problem');
    expect(garbled.stdout).not.toContain('hunter2');
    const unreachable = await doctor({ DATABASE_URL: 'postgres://me:hunter2@127.0.0.1:9/x' });
    expect(unreachable.found('database.reachable').what).toContain('ECONNREFUSED');
    expect(unreachable.stdout).not.toContain('hunter2');
  });

  it('says it to people with why and how, and makes nothing where nothing is', async () => {
    const nowhere = join(folder, 'nowhere');
    const { status, stdout } = await run(['doctor'], { env: { DATA_DIR: nowhere, HOST: '0.0.0.0' }, cwd: folder });
    expect(status).toBe(2);
    expect(stdout).toMatch(
      /^PROBLEM network\.bind: no TLS on 0\.0\.0\.0.*\n +why {3}Whatever .*\n +mend {2}Set TLS_ENABLED/m,
    );
    expect(stdout).toMatch(/\d+ problems, \d+ warnings, \d+ fine, \d+ not looked at\n$/);
    expect(stdout).not.toMatch(/^fine/m);
    expect(existsSync(nowhere)).toBe(false);
  });

  it('takes a wrong flag for no answer', async () => {
    const outcomes = [await run(['doctor', '--fix']), await run(['config', 'check', 'x']), await run(['config'])];
    expect(outcomes.map(({ status }) => status)).toEqual([3, 2, 2]);
    expect((await run(['doctor', '--help'])).stdout).toContain('Ends with 0 when all is fine');
  });

  it('config check tells every mistake of the environment, the files and the kept secrets at once, and starts nothing', async () => {
    const dataDir = join(folder, 'kept');
    mkdirSync(dataDir, { mode: 0o700 });
    writeFileSync(join(dataDir, 'auth-secret'), 'cut-off', { mode: 0o600 });
    const yaml = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const files = {
      AUTH_CONFIG: yaml('auth.yaml', 'authentication: { enabled: false }'),
      POLICY_CONFIG: yaml('permissions.yaml', 'default_roles: [unheard-of]'),
      ALERTS_CONFIG: yaml('alerts.yaml', 'rules: [{ name: r, kind: any, actions: [no.such] }]'),
      AUDIT_SIGNING_KEY: yaml('signing.pem', 'no key'),
      AGENTS_CONFIG: yaml('agents.yaml', 'providers: 5'),
      TLS_CERT_FILE: join(folder, 'none.crt'),
    };
    const env = {
      DATA_DIR: dataDir,
      TLS_ENABLED: 'true',
      HTTP_PORT: 'http',
      DATABASE_URL: 'mysql://root:hunter2@localhost/x',
      ...files,
    };
    const { status, stdout } = await run(['config', 'check'], { env, cwd: folder });
    expect(status).toBe(1);
    for (const named of ['HTTP_PORT', 'DATABASE_URL', 'auth-secret', ...Object.values(files)])
      expect(stdout).toMatch(new RegExp(`^.*${named}.*$`, 'm'));
    expect(stdout).not.toMatch(/hunter2|cut-off/);

    const right = { DATA_DIR: join(folder, 'none'), ENCRYPTION_MASTER_KEY: KEY };
    const outcome = await run(['config', 'check'], { env: right, cwd: folder });
    expect([outcome.status, outcome.stdout, existsSync(right.DATA_DIR)]).toEqual([
      0,
      'the configuration is right\n',
      false,
    ]);
    const json = await run(['config', 'check', '--json'], { env: { ...right, LOG_LEVEL: 'loud' }, cwd: folder });
    const told = { ok: false, problems: [expect.stringContaining('LOG_LEVEL')] };
    expect([json.status, JSON.parse(json.stdout)]).toEqual([1, told]);
  });
});
