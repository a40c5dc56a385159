import '../support/nest-first.js';
import { describe, expect, it } from '@jest/globals';
import { DomainError, type ErrorCode } from '../../src/kernel/errors.js';
import type { CallerContext } from '../../src/kernel/request-context.js';
import { WorktreeChangesService } from '../../src/worktree/worktree-changes.service.js';
import { WorktreeCreationService } from '../../src/worktree/worktree-creation.service.js';
import { WorktreeReadingService } from '../../src/worktree/worktree-reading.service.js';
import { WorktreeRemovalService } from '../../src/worktree/worktree-removal.service.js';

const caller = { principal: { subject: 'alice', tenant: 'acme' } } as CallerContext;
const row = { id: 'w', tenant: 'acme', name: 'fix it' };
const access = { ready: () => Promise.resolve(row) };

/** Removes a worktree whose removal fails so. @param list what the runner lists then @returns whether it counts as kept */
async function keptAfter(code: ErrorCode, list: () => Promise<object>): Promise<boolean> {
  let kept = false;
  const runner = {
    list,
    remove: ({ dry_run }: { dry_run?: boolean }) =>
      dry_run === true ? Promise.resolve({}) : Promise.reject(new DomainError(code, 'no')),
  };
  const store = {
    beginRemoval: () => Promise.resolve([]),
    markKept: () => {
      kept = true;
      return Promise.resolve(row);
    },
  };
  const commands = { teardown: () => Promise.resolve(null) };
  const audit = { outcome: (_: object, __: object, work: () => Promise<unknown>) => work() };
  const fakes = [store, access, runner, commands, { liveIn: () => Promise.resolve([]) }, {}, {}, audit] as unknown;
  const service = new WorktreeRemovalService(...(fakes as ConstructorParameters<typeof WorktreeRemovalService>));
  const removal = service.remove(caller, { id: 'w', force: false, delete_branch: false });
  await expect(removal).rejects.toMatchObject({ code });
  return kept;
}

describe('a removal that failed', () => {
  const listed = (state: string) => () => Promise.resolve([{ id: 'w', state }]);

  it.each(['RUNNER_UNAVAILABLE', 'INTERNAL_ERROR'] as const)('with %s may have been done', async (code) => {
    expect(await keptAfter(code, listed('ready'))).toBe(false);
  });

  it('for a reason was not done when the runner has the worktree as before', async () => {
    expect(await keptAfter('GIT_FAILED', listed('ready'))).toBe(true);
    expect(await keptAfter('GIT_FAILED', listed('removing'))).toBe(false);
    expect(await keptAfter('NOT_FOUND', () => Promise.resolve([]))).toBe(false);
    const away = () => Promise.reject(new DomainError('RUNNER_UNAVAILABLE', 'away'));
    expect(await keptAfter('GIT_FAILED', away)).toBe(false);
  });
});

it('a commit and a push that were done are told, though nobody who watches could be', async () => {
  const told: unknown[] = [];
  const runner = {
    commit: () => Promise.resolve({ commit: 'c' }),
    push: ({ remote }: { remote: string }) => {
      expect(remote).toBe('');
      return Promise.resolve({ remote: 'upstream', branch: 'b', commit: 'c' });
    },
  };
  const changes = { tell: () => Promise.reject(new Error('no database')) };
  const logger = { warn: (facts: object) => told.push(facts) };
  const fakes = [access, runner, {}, changes, logger] as unknown;
  const service = new WorktreeChangesService(...(fakes as ConstructorParameters<typeof WorktreeChangesService>));
  expect(await service.commit(caller, { id: 'w', message: 'm', all: false })).toEqual({ commit: 'c' });
  expect(await service.push(caller, { id: 'w', remote: '' })).toEqual({ remote: 'upstream', branch: 'b', commit: 'c' });
  expect(told).toMatchObject([{ worktree: 'w' }, { worktree: 'w' }]);
});

it('a setup counts as interrupted until it is started, should the gateway end before', async () => {
  const ready: unknown[] = [];
  const store = {
    insert: () => Promise.resolve(null),
    markReady: (_: object, { setup, setupFailure }: { setup: string[]; setupFailure: string | null }) => {
      ready.push([setup, setupFailure]);
      return Promise.resolve({ tenant: 'acme', id: 'w', setup });
    },
  };
  const runner = { create: () => Promise.resolve({ worktree: { id: 'w' } }) };
  const commands = { setup: () => Promise.reject(new Error('killed')) };
  const may = () => undefined;
  const fakes = [store, runner, commands, { admit: may, require: may }, {}, 'me', { now: () => 0 }, {}] as unknown;
  const service = new WorktreeCreationService(...(fakes as ConstructorParameters<typeof WorktreeCreationService>));
  const command = { repository: 'app', name: 'x', fetch: false, copy: [] };
  for (const setup of [['/bin/true'], []])
    await expect(service.create(caller, { ...command, setup })).rejects.toThrow();
  expect(ready).toEqual([
    [['/bin/true'], 'interrupted'],
    [[], null],
  ]);
});

it('the runner looks for repositories only for who may make a worktree of one', async () => {
  let asked = 0;
  const runner = {
    repositories: () => {
      asked += 1;
      return Promise.resolve({ repositories: [{ name: 'app', path: '/app' }] });
    },
  };
  const list = (permissions: string[]): Promise<object> => {
    const authorization = {
      effective: () => ({ roles: [], permissions }),
      allows: () => permissions.includes('worktree:create@app'),
      require: () => {
        throw new DomainError('PERMISSION_DENIED', 'no');
      },
    };
    const fakes = [{}, access, runner, {}, authorization] as unknown;
    const service = new WorktreeReadingService(...(fakes as ConstructorParameters<typeof WorktreeReadingService>));
    return service.repositories(caller);
  };
  await expect(list(['worktree:view'])).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
  expect(asked).toBe(0);
  expect(await list(['worktree:create@app'])).toMatchObject({ items: [{ name: 'app' }] });
  expect(asked).toBe(1);
});
