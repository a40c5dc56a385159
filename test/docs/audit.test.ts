import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EVENT_FIELDS } from '../../src/audit/read/event-view.js';
import { FILTERS } from '../../src/audit/read/event-filter.js';
import { AUDIT_ACTIONS } from '../../src/kernel/audit.js';
import { ask, seed } from '../support/audit-events.js';
import { TestGateway, token } from '../support/gateway.js';

const page = readFileSync('docs/audit.md', 'utf8');
const section = (heading: string): string => page.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
const blocks = (language: string, text = page): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, block = '']) => block);
const cells = (text: string): string[] =>
  [...text.matchAll(/^\| (.*?) \|/gm)].flatMap(([, first = '']) =>
    [...first.matchAll(/`([\w.]+)`/g)].map(([, name = '']) => name),
  );

describe('docs/audit.md', () => {
  it('has the catalogue as it is in the code, with a line for each action', () => {
    const rows = [...section('Catalogue').matchAll(/^\| `([\w.]+)` \| (\w+) \| (.*) \|$/gm)];
    expect(Object.fromEntries(rows.map(([, action, level]) => [action, level]))).toEqual(AUDIT_ACTIONS);
    expect(rows.every(([, , , words = '']) => words.length > 10)).toBe(true);
  });

  it('has every field and every filter', () => {
    expect(cells(section('An event')).sort()).toEqual([...EVENT_FIELDS].sort());
    const filters = section('Over REST').slice(section('Over REST').indexOf('Filters,'));
    expect(cells(filters).sort()).toEqual(Object.keys(FILTERS).sort());
  });

  describe('has recipes that work:', () => {
    let gateway: TestGateway;
    const folder = mkdtempSync(join(tmpdir(), 'gatehouse-'));
    const days = (ago: number): string => new Date(Date.now() - ago * 86_400_000).toISOString();
    const session = 'session:00000000-0000-7000-8000-000000000000';
    const recipes = blocks('sql', section('Recipes'));
    const run = async (words: RegExp): Promise<Record<string, unknown>[]> => {
      const [recipe, ...others] = recipes.filter((text) => words.test(text));
      expect([recipe === undefined, others]).toEqual([false, []]);
      return gateway.query(recipe ?? '');
    };
    const jq = async (words: string): Promise<string> => {
      const [recipe] = blocks('sh', section('Recipes')).filter((text) => text.includes(words));
      const environment = { PATH: process.env['PATH'], ID: session.slice('session:'.length) };
      return (
        await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', recipe ?? 'exit 9'], {
          cwd: folder,
          env: environment,
        })
      ).stdout;
    };

    beforeAll(async () => {
      gateway = await TestGateway.start();
      const known = { principal_kind: 'user', action: 'auth.success' };
      await seed(gateway, [
        { action: 'auth.failed', success: false, remote_addr: '192.0.2.9', timestamp: days(0.1) },
        {
          action: 'auth.failed',
          success: false,
          remote_addr: '192.0.2.9',
          timestamp: days(0.2),
          metadata: { repeated: 41 },
        },
        { action: 'auth.failed', success: false, remote_addr: '192.0.2.8', timestamp: days(0.3) },
        { ...known, user_id: 'steady', remote_addr: '10.0.0.1', timestamp: days(30) },
        { ...known, user_id: 'steady', remote_addr: '10.0.0.1', timestamp: days(1) },
        { ...known, user_id: 'steady', remote_addr: '10.0.0.99', timestamp: days(2) },
        { ...known, user_id: 'sleeper', remote_addr: '10.0.0.2', timestamp: days(80) },
        { ...known, action: 'pty.attach', user_id: 'steady', resource: session, timestamp: days(1) },
        { ...known, action: 'pty.kill', user_id: 'sleeper', resource: session, timestamp: days(90) },
        {
          ...known,
          action: 'authz.denied',
          user_id: 'steady',
          success: false,
          metadata: { permission: 'pty:kill' },
          timestamp: days(3),
        },
      ]);
      const auditor = token({ sub: 'eve', roles: ['auditor'] });
      writeFileSync(join(folder, 'audit.ndjson'), (await ask(gateway, auditor, 'export')).text);
    });
    afterAll(async () => {
      rmSync(folder, { recursive: true, force: true });
      await gateway.remove();
    });

    it('failed logins by address', async () => {
      const rows = await run(/sum\(/);
      expect(rows.map(({ remote_addr, failures }) => [remote_addr, Number(failures)])).toEqual([
        ['192.0.2.9', 42],
        ['192.0.2.8', 1],
      ]);
      expect(await jq('uniq -c | sort -rn | head')).toMatch(/^ *2 192\.0\.2\.9\n *1 192\.0\.2\.8\n$/);
    });

    it('unusual use', async () => {
      const rows = await run(/now_used/);
      expect(rows).toContainEqual(expect.objectContaining({ user_id: 'steady', remote_addr: '10.0.0.99' }));
      expect(rows).not.toContainEqual(expect.objectContaining({ remote_addr: '10.0.0.1' }));
    });

    it('dormant accounts', async () => {
      expect((await run(/HAVING/)).map(({ user_id }) => user_id)).toEqual(['sleeper']);
    });

    it('who touched a session', async () => {
      const rows = await run(/resource = /);
      expect(rows.map(({ user_id, action }) => [user_id, action])).toEqual([
        ['sleeper', 'pty.kill'],
        ['steady', 'pty.attach'],
      ]);
      expect(await jq('--arg session')).toMatch(/\tsteady\tpty\.attach\t.*\n.*\tsleeper\tpty\.kill\t/);
    });

    it('who was refused what', async () => {
      expect(await jq('authz.denied')).toMatch(/^ *1 steady pty:kill\n$/);
    });

    it('a role for somebody who only reads', async () => {
      const [grants = ''] = blocks('sql', section('Who may read it in PostgreSQL'));
      await gateway.query(grants.replaceAll('gatehouse_reader', `reader_${String(process.pid)}`));
      const as = `SET LOCAL ROLE reader_${String(process.pid)}; SET LOCAL gatehouse.tenant = 'default';`;
      await gateway.query(`BEGIN; ${as} SELECT * FROM audit_trail; COMMIT`);
      await expect(gateway.query(`BEGIN; ${as} DELETE FROM audit_events; COMMIT`)).rejects.toThrow(/permission denied/);
      await gateway.query(`DROP OWNED BY reader_${String(process.pid)}; DROP ROLE reader_${String(process.pid)}`);
    });
  });
});
