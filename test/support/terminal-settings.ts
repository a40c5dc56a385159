import { execFile } from 'node:child_process';
import { readlink } from 'node:fs/promises';
import { promisify } from 'node:util';
import { type TestGateway, until } from './gateway.js';
import { rest } from './rest.js';

const run = promisify(execFile);

/** Waits until the terminal of a program no longer echoes: what is typed before that is in its output. */
export async function untilQuiet(pid: number): Promise<void> {
  await until('no echo', async () => {
    // A process that has only just begun need not have its terminal yet.
    const terminal = await readlink(`/proc/${String(pid)}/fd/0`).catch(() => '');
    if (!terminal.startsWith('/dev/pts/')) return false;
    return (await run('stty', ['-a', '-F', terminal])).stdout.split(/[\s;]+/).includes('-echo');
  });
}

/** The same, of a session. */
export async function untilSessionQuiet(gateway: TestGateway, credential: string, session: string): Promise<void> {
  const { body } = await rest(gateway, credential, 'GET', `/api/v1/sessions/${session}`);
  await untilQuiet(Number(body['pid']));
}
