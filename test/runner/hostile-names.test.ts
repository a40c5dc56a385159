/** Names that callers make up. None may become an option of git, or lead elsewhere. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { GitRunner, refusal } from './git-runner.js';

let runner: GitRunner;
beforeAll(async () => {
  runner = await GitRunner.start();
  runner.repository('hostile-1');
});
afterAll(() => runner.stop());

describe('what a caller names', () => {
  it.each([
    { base_ref: '--upload-pack=x' },
    { base_ref: 'main~1' },
    { base_ref: 'a..b' },
    { existing_branch: '-b' },
    { branch_prefix: '../' },
    { tenant: '../x' },
    { tenant: '' },
    { id: '../../x' },
    { name: ' ' },
    { copy: ['../*'] },
    { copy: ['/etc/passwd'] },
    { copy: Array.from({ length: 101 }, () => '*') },
  ])('is refused when it could be an option or lead elsewhere: %j', async (wrong) => {
    expect(await refusal(runner.create('hostile-1', wrong))).toBe('INVALID_ARGUMENT');
  });

  it('is told when it is not there', async () => {
    expect(await refusal(runner.create('hostile-1', { base_ref: 'nowhere' }))).toBe('REF_NOT_FOUND');
    expect(await refusal(runner.create('hostile-1', { existing_branch: 'nowhere' }))).toBe('REF_NOT_FOUND');
  });
});
