import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RunnerProcess } from './runner-process.js';

let runner: RunnerProcess;
beforeAll(async () => {
  runner = await RunnerProcess.start();
});
afterAll(() => runner.stop());

/** Raw, so that the terminal changes nothing: no carriage returns, no echo. */
const raw = (script: string): string[] => ['sh', '-c', `stty raw -echo; ${script}`];

describe('output', () => {
  it('of a program that prints 5 MB and exits at once arrives whole, every time', async () => {
    const program = raw(`head -c 5000000 /dev/zero | tr '\\0' x | fold -w 99`);
    const expected = createHash('sha256')
      .update(`${'x'.repeat(99)}\n`.repeat(50_505) + 'x'.repeat(5))
      .digest('hex');
    for (let round = 0; round < 12; round++) {
      const { id } = await runner.startSession(program);
      const link = await runner.link();
      link.keep = false;
      expect(await link.attach(id, { from: 0 })).toMatchObject({ from: 0, mode: 'controller' });
      await link.end();
      expect({ round, bytes: link.bytes, sha256: link.sha256 }).toEqual({ round, bytes: 5_050_505, sha256: expected });
      expect(link.messages.at(-1)).toMatchObject({ type: 'process_exited', exit_code: 0, signal: null });
    }
  });

  it('of many programs that exit at once comes whole and before their end', async () => {
    const rounds = Array.from({ length: 60 }, async (_, index) => {
      const { id } = await runner.startSession(raw(`seq 1 3000; printf 'last ${String(index)}'`));
      const link = await runner.link();
      await link.attach(id);
      await link.end();
      expect(link.text.endsWith(`3000\nlast ${String(index)}`)).toBe(true);
      expect(link.text.startsWith('1\n2\n')).toBe(true);
      expect(link.late).toBe(0);
      // Who else is there is told a little later, when the program may still run.
      const others = ['process_started', 'participants'];
      const told = link.messages.map(({ type }) => type).filter((type) => !others.includes(type));
      expect(told).toEqual(['attached', 'process_exited']);
    });
    await Promise.all(rounds);
  });

  it('of a program that is killed ends with its last words', async () => {
    const { id } = await runner.startSession(
      raw(`trap 'printf bye; exit 3' TERM HUP; echo ready; while :; do sleep 0.05; done`),
    );
    const link = await runner.link();
    await link.attach(id);
    await link.shows('ready');
    expect(await runner.kill(id, 'closed')).toMatchObject({ state: 'killed', reason: 'closed', exit_code: 3 });
    await link.end();
    expect(link.text).toMatch(/ready\n(Hangup\n)?bye$/); // the shell may tell of its child
    expect(link.messages.at(-1)).toMatchObject({ type: 'process_exited', exit_code: 3, reason: 'closed' });
  });

  it('is bytes: split UTF-8, NUL and invalid sequences pass unchanged', async () => {
    const script = String.raw`printf '\303'; sleep 0.05; printf '\244\000\377\376\033[31m\200'; sleep 0.02; printf '\342\202\254'`;
    const { id } = await runner.startSession(raw(script));
    const link = await runner.link();
    await link.attach(id);
    await link.end();
    expect(link.output.toString('hex')).toBe('c3a400fffe1b5b33316d80e282ac');
  });

  it('goes on after a reconnect at the very byte', async () => {
    const { id } = await runner.startSession(raw('echo ready; read go; seq 1 200000; sleep 30'));
    const first = await runner.link();
    const { epoch } = await first.attach(id, { writer_id: 'w' });
    await first.shows('ready');
    first.type('\n');
    await first.shows('\n1000\n');
    first.close();
    const second = await runner.link();
    await second.attach(id, { from: first.next ?? 0, epoch });
    await second.shows('200000\n');
    const all = Array.from({ length: 200_000 }, (_, index) => `${String(index + 1)}\n`).join('');
    expect(first.text + second.text === `ready\n${all}`).toBe(true);
    await runner.kill(id);
  });

  it('of an ended session stays readable, from any offset', async () => {
    const { id } = await runner.startSession(raw('printf 0123456789; exit 4'));
    await runner.ended(id);
    const link = await runner.link();
    expect(await link.attach(id, { from: 4 })).toMatchObject({ from: 4, dropped_before: 0, mode: 'viewer' });
    await link.end();
    expect(link.text).toBe('456789');
    expect(link.messages.at(-1)).toMatchObject({ type: 'process_exited', exit_code: 4, reason: 'exited' });
    expect(await runner.read({ id, from: 2, limit: 3 })).toMatchObject({
      offset: 2,
      data: Buffer.from('234'),
      output_next: 10,
    });
    expect(await runner.session(id)).toMatchObject({ state: 'exited', exit_code: 4, output_next: 10 });
  });
});
