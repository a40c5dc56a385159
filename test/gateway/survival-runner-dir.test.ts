import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RunnerProcess } from '../runner/runner-process.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { rest, startSession } from '../support/rest.js';

/** It is to take 10 s at most; the machine of a test may be slow. */
const LOST_MS = 40_000;

describe('a runner of RUNNER_DIR that dies, with nobody to start another', () => {
  let runner: RunnerProcess;
  let gateway: TestGateway;
  const alice = token();
  const state = async (id: string): Promise<unknown[]> => {
    const { body } = await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`);
    return [body['state'], body['reason']];
  };

  beforeAll(async () => {
    runner = await RunnerProcess.start();
    gateway = await TestGateway.start({ RUNNER_DIR: runner.directory });
  });
  afterAll(async () => {
    await gateway.remove();
    await runner.stop();
  });

  it('leaves no session behind that is shown as running', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    expect(await state(id)).toEqual(['running', null]);
    const { pid = 0 } = await runner.info();
    process.kill(pid, 'SIGKILL');
    const begin = performance.now();
    await until('it is lost', async () => (await state(id))[0] === 'lost', LOST_MS);
    console.log(`lost after ${String(Math.round(performance.now() - begin))} ms`);
    expect(await state(id)).toEqual(['lost', 'runner_lost']);
    expect(await gateway.audit({ action: 'pty.lost', resource: `session:${id}` })).toHaveLength(1);
  }, 90_000);
});
