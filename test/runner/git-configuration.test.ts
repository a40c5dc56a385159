/** What is read out of a repository's own configuration, as git writes it. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { scanConfig } from '../../src/runner/git/config-scan.js';
import { settingsEnvironment } from '../../src/runner/git/settings.js';
import { makeRepository } from './git-runner.js';

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-git-configuration-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('a configuration', () => {
  it('gives its filters and drivers away, whatever their names are', () => {
    const path = makeRepository(join(folder, 'names'));
    const names = ['', '.', 'x.y.clean', 'a=b "c"', 'EVIL', 'ü\\', '-c', "'"];
    const quoted = names.map((name) => `"${name.replaceAll(/["\\]/g, '\\$&')}"`);
    const filters = quoted.map((name) => `[filter ${name}]\n\tclean = evil\n\tsmudge = evil\n\tprocess = evil\n`);
    const drivers = quoted.map((name) => `[merge ${name}]\n\tdriver = evil\n`);
    const none = '[filter]\n\tclean = none\n[merge]\n\tdriver = none\n\tff = only\n';
    appendFileSync(join(path, '.git', 'config'), [...filters, ...drivers, none].join(''));
    const { neutral, redirect } = scanConfig(execFileSync('git', ['config', '--list', '-z', '--local'], { cwd: path }));
    expect(redirect).toBeUndefined();
    const env = { PATH: process.env['PATH'], ...settingsEnvironment(neutral) };
    // What git itself then finds, by the names that it knows them by.
    for (const name of names) {
      for (const [key, value] of [
        ...['clean', 'smudge', 'process'].map((each) => [`filter.${name}.${each}`, '']),
        ...[
          [`merge.${name}.driver`, 'false'],
          [`filter.${name}.required`, 'false'],
        ],
      ]) {
        const told = execFileSync('git', ['config', '--get', key ?? ''], { cwd: path, env, encoding: 'utf8' });
        expect([key, told]).toEqual([key, `${value ?? ''}\n`]);
      }
    }
    expect(neutral).toHaveLength(names.length * 5);
  });
  it.each([
    ['filter.\xff.clean', 'no UTF-8'],
    ['merge.\xc3.driver', 'no UTF-8'],
    ['hook.x.command', 'names hooks'],
    ['hook.jobs', 'names hooks'],
    ['include.path', 'includes other files'],
    ['includeif.gitdir:/.path', 'includes other files'],
    ['extensions.refstorage', 'keeps its refs'],
  ])('with %j is not used', (key, why) => {
    expect(() => scanConfig(Buffer.from(`${key}\nfiles:///elsewhere\0`, 'latin1'))).toThrow(why);
  });
  it.each([
    'fetch.bundleuri',
    'transfer.bundleuri',
    'fetch.uriprotocols',
    'promisor.acceptfromserver',
    'url..insteadof',
  ])('with %s leads elsewhere', (key) => {
    expect(scanConfig(Buffer.from(`${key}\nx\0`)).redirect).toBe(key);
  });
  it('with refs in a way that git has is used', () => {
    expect(scanConfig(Buffer.from('extensions.refstorage\nreftable\0remote..url\nx\0')).remotes).toEqual([]);
  });
  it('with more programs or remotes than are looked at is refused', () => {
    const many = (line: (number: number) => string): Buffer =>
      Buffer.from(Array.from({ length: 101 }, (_, number) => `${line(number)}\0`).join(''));
    expect(() => scanConfig(many((number) => `filter.f${String(number)}.clean\nx`))).toThrow('too many filters');
    expect(() => scanConfig(many((number) => `remote.r${String(number)}.url\nx`))).toThrow('too many remotes');
  });
});
