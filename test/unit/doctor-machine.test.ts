import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { machine } from '../../src/operator/doctor/machine-checks.js';
import { type MachineFacts, machineFacts } from '../../src/operator/doctor/machine-facts.js';
import type { SealedRow } from '../../src/operator/doctor/sealed-facts.js';
import { alertSecrets, masterKeyPrevious, sealed } from '../../src/operator/doctor/sealing-checks.js';
import { CHECKS } from '../../src/operator/finding.js';
import { Keyring } from '../../src/sealing/keyring.js';
import { placeOf } from '../../src/sealing/sealed-secrets.js';
import { byId, productionConfig, stateOf } from '../support/findings.js';

const config = productionConfig(join(tmpdir(), 'gatehouse-none'));

describe('gatehouse doctor, of stored secrets', () => {
  const [OLD, NEW] = [randomBytes(32), randomBytes(32)];
  const [old, rotated] = [new Keyring(OLD), new Keyring(NEW, OLD)];
  const row = (by: Keyring, name: string, value = 'a-value', place = name): SealedRow => ({
    ...{ tenant: 'default', name, keyId: by.keyId },
    envelope: by.seal(placeOf('default', place), Buffer.from(value)),
  });

  it('finds those that cannot be opened, by name', () => {
    expect(stateOf(sealed(old, [row(old, 'a')]))).toBe('ok');
    expect(stateOf(sealed(rotated, [row(old, 'a'), row(rotated, 'b')]))).toBe('ok');
    const missing = sealed(old, [row(old, 'a'), row(rotated, 'b')]);
    expect([stateOf(missing), missing.what]).toEqual(['problem', expect.stringContaining(rotated.keyId)]);
    expect(missing.what).toContain('1 of 2');
    const moved = sealed(old, [row(old, 'a', 'a-value', 'elsewhere')]);
    expect([stateOf(moved), moved.what]).toEqual(['problem', expect.stringContaining('it was altered')]);
    expect(stateOf(sealed(null, [row(old, 'a')]))).toBe('problem');
    expect(stateOf(sealed(null, null))).toBe('skipped');
    expect(
      sealed(
        null,
        Array.from({ length: 30 }, () => row(old, 'a')),
      ).what.split('\n'),
    ).toHaveLength(12);
  });

  it('finds a rotation that is not through', () => {
    const during = config({
      ENCRYPTION_MASTER_KEY: NEW.toString('hex'),
      ENCRYPTION_MASTER_KEY_PREVIOUS: OLD.toString('hex'),
    });
    expect(stateOf(masterKeyPrevious(config(), rotated, []))).toBe('ok');
    expect(masterKeyPrevious(during, rotated, [row(old, 'a')]).what).toBe('1 secrets are sealed under it');
    expect(masterKeyPrevious(during, rotated, [row(rotated, 'a')]).what).toContain('nothing is sealed under it');
    expect(stateOf(masterKeyPrevious(during, rotated, null))).toBe('warning');
  });

  it('finds alerts whose address is missing or none', () => {
    const named = new Map([['team', 'hook']]);
    const rows = (value: string): SealedRow[] => [row(old, 'hook', value)];
    expect(stateOf(alertSecrets(named, old, rows('https://chat.example.com/x')))).toBe('ok');
    const plain = alertSecrets(named, old, rows('http://chat.example.com/hunter2'));
    expect([stateOf(plain), plain.what.includes('hunter2')]).toEqual(['problem', false]);
    expect(stateOf(alertSecrets(named, old, []))).toBe('problem');
    expect(stateOf(alertSecrets(new Map(), old, []))).toBe('skipped');
  });
});

describe('gatehouse doctor, of the machine', () => {
  const fine: MachineFacts = {
    ...{ node: '24.16.0', git: '2.43.0', bubblewrap: true, root: false, openFiles: 65_536, freeBytes: 2 ** 36 },
  };
  const roots = { PROJECT_ROOTS: '/srv' };

  it.each<[string, string, Partial<MachineFacts>, object, string]>([
    ['a recent Node.js', 'machine.node', { node: '26.0.0' }, {}, 'ok'],
    ['an old Node.js', 'machine.node', { node: '24.9.0' }, {}, 'problem'],
    ['a recent git', 'machine.git', {}, roots, 'ok'],
    ['an old git', 'machine.git', { git: '2.9.5' }, roots, 'problem'],
    ['no git', 'machine.git', { git: null }, roots, 'problem'],
    ['no worktrees', 'machine.git', { git: null }, {}, 'skipped'],
    ['no root', 'machine.root', {}, {}, 'ok'],
    ['root in production', 'machine.root', { root: true }, {}, 'problem'],
    ['root elsewhere', 'machine.root', { root: true }, { NODE_ENV: 'development' }, 'warning'],
    ['few open files', 'machine.open_files', { openFiles: 1024 }, {}, 'warning'],
    ['many open files', 'machine.open_files', {}, {}, 'ok'],
    ['a system that does not tell', 'machine.open_files', { openFiles: null }, {}, 'skipped'],
    ['a full disk', 'machine.disk', { freeBytes: 1024 }, {}, 'problem'],
    ['a disk that fills up', 'machine.disk', { freeBytes: 5e8 }, {}, 'warning'],
    [
      'less room than the spool may take',
      'machine.disk',
      { freeBytes: 2e9 },
      { AUDIT_SPOOL_MAX_BYTES: '9000000000' },
      'warning',
    ],
    ['room', 'machine.disk', {}, {}, 'ok'],
  ])('finds with %s what it is worth', (_what, id, facts, environment, state) => {
    const found = machine(config(environment as Record<string, string>), { ...fine, ...facts });
    expect(stateOf(byId(found, id))).toBe(state);
  });

  it('finds whether a sandbox that is asked for can be had', () => {
    const asked = config({}, { SANDBOX: 'bwrap' });
    const there = byId(machine(asked, fine), 'machine.sandbox');
    expect([stateOf(there), there?.what]).toEqual(['ok', expect.stringContaining('was not tried')]);
    expect(stateOf(byId(machine(asked, { ...fine, bubblewrap: false }), 'machine.sandbox'))).toBe('problem');
    expect(stateOf(byId(machine(config(), fine), 'machine.sandbox'))).toBe('skipped');
  });

  it('reads them from the machine', async () => {
    const facts = await machineFacts(join(tmpdir(), 'gatehouse-none', 'there'));
    expect(facts.git).toMatch(/^\d+\.\d+/);
    expect([facts.node, facts.root]).toEqual([process.versions.node, process.getuid?.() === 0]);
    expect(facts.freeBytes).toBeGreaterThan(0);
    if (process.platform === 'linux') expect(facts.openFiles).toBeGreaterThan(0);
  });
});

describe('docs/production.md', () => {
  it('names every check that sees one of its lines, and no other', () => {
    const lines = readFileSync('docs/production.md', 'utf8')
      .split(/^- \[ \] /m)
      .slice(1);
    const areas = [...new Set(Object.keys(CHECKS).map((id) => id.split('.')[0]))].join('|');
    const named = lines.flatMap((line) =>
      [...line.matchAll(new RegExp(`\`((?:${areas})\\.[a-z_]+)\``, 'g'))].map(([, id]) => id),
    );
    expect([...named].sort()).toEqual(Object.keys(CHECKS).sort());
  });
});

describe('docs/doctor.md', () => {
  it('has every check, and no other', () => {
    const ids = [...readFileSync('docs/doctor.md', 'utf8').matchAll(/^\| `([\w.]+)` \| (.*) \|$/gm)];
    expect(ids.map(([, id]) => id)).toEqual(Object.keys(CHECKS));
    expect(ids.every(([, , words = '']) => words.length > 10)).toBe(true);
  });
});
