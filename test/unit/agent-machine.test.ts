import { chmodSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Caps } from '../../src/runner/agent/caps.js';
import { Detector, MAX_PROGRAMS } from '../../src/runner/agent/detect.js';
import { findProgram } from '../../src/runner/agent/program.js';

let bin: string;
beforeEach(() => {
  bin = mkdtempSync(join(tmpdir(), 'gatehouse-machine-'));
});
afterEach(() => {
  rmSync(bin, { recursive: true, force: true });
});

function program(name: string, script: string): string {
  const file = join(bin, name);
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

describe('caps', () => {
  const machine = (isRoot: boolean, booted = '/') => ({ path: `${bin}:${process.env['PATH'] ?? ''}`, booted, isRoot });
  const both = { memoryBytes: 1000, cpuPercent: 150 };

  it('are put on by a scope of their own, which is tried out once', async () => {
    const tried = join(bin, 'tried');
    const run = program('systemd-run', `echo "$@" >> '${tried}'`);
    const caps = new Caps(machine(true));
    const command = [run, '--scope', '--quiet', '--collect', '-p', 'MemoryMax=1000', '-p', 'CPUQuota=150%', '--'];
    expect(await caps.prepare(both)).toEqual({ prefix: command, notApplied: [] });
    expect((await caps.prepare({ memoryBytes: 0, cpuPercent: 5 })).prefix).toContain('CPUQuota=5%');
    expect(await caps.prepare({ memoryBytes: 0, cpuPercent: 0 })).toEqual({ prefix: [], notApplied: [] });
    expect(readFileSync(tried, 'utf8').trim().split('\n')).toHaveLength(1);
  });

  it('that cannot be had are told one by one, with the reason', async () => {
    program('systemd-run', 'exit 1');
    const reasons = async (caps: Caps) => (await caps.prepare(both)).notApplied;
    expect(await reasons(new Caps(machine(true)))).toEqual([
      'memory_bytes: systemd-run makes no scope here',
      'cpu_percent: systemd-run makes no scope here',
    ]);
    expect((await reasons(new Caps(machine(false))))[0]).toContain('not root');
    expect((await reasons(new Caps(machine(true, join(bin, 'no')))))[0]).toContain('systemd does not run');
  });
});

describe('looking for programs', () => {
  it('goes by name in the absolute folders of PATH, and takes files that can be run', () => {
    const file = program('tool', 'true');
    writeFileSync(join(bin, 'text'), '');
    expect(findProgram('tool', `.:relative:${bin}`, 'binary')).toBe(file);
    expect(findProgram('text', bin, 'binary')).toBeUndefined();
    expect(findProgram('tool', undefined, 'binary')).toBeUndefined();
    for (const name of ['', '.', '..', '/bin/sh', '../sh', '-x', 'a b', 'a\0b', 'x'.repeat(65)]) {
      expect(() => findProgram(name, bin, 'binary')).toThrow(/^binary /);
    }
  });

  it('asks for a version once as long as the file is the same, with nothing of the server around', async () => {
    const asked = join(bin, 'asked');
    const file = program(
      'tool',
      `env >> '${asked}'; echo run >> '${asked}'; echo; printf '\\033[1mtool 1.0\\nmore\\n'`,
    );
    symlinkSync(file, join(bin, 'linked'));
    const detector = new Detector({ PATH: `${bin}:/usr/bin:/bin`, DATABASE_PASSWORD: 'secret' });
    const programs = [{ id: 'a', binary: 'linked', versionArgs: ['--version'] }];
    const found = [{ id: 'a', path: file, version: '[1mtool 1.0' }];
    expect(await detector.detect(programs)).toEqual(found);
    expect(await detector.detect(programs)).toEqual(found);
    expect(readFileSync(asked, 'utf8').match(/^run$/gm)).toHaveLength(1);
    expect(readFileSync(asked, 'utf8')).not.toContain('secret');
    utimesSync(file, 1, 1);
    await detector.detect(programs);
    expect(readFileSync(asked, 'utf8').match(/^run$/gm)).toHaveLength(2);
  });

  it('waits for no program that says nothing, reads no more than it needs, and refuses too many at once', async () => {
    program('silent', 'sleep 600');
    program('endless', 'exec yes');
    const environment = { PATH: `${bin}:/usr/bin:/bin` };
    const asked = (id: string) => [{ id, binary: id, versionArgs: ['-v'] }];
    const impatient = new Detector(environment, 300);
    expect((await impatient.detect(asked('silent'))).map(({ version }) => version)).toEqual(['']);
    // One that never ends by itself is read to the limit of an answer, however long its start takes.
    const detector = new Detector(environment, 120_000);
    expect((await detector.detect(asked('endless'))).map(({ version }) => version)).toEqual(['y']);
    const many = Array.from({ length: MAX_PROGRAMS + 1 }, () => ({ id: 'x', binary: 'x', versionArgs: [] }));
    await expect(detector.detect(many)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
