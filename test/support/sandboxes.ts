import { spawnSync } from 'node:child_process';
import { describe } from '@jest/globals';
import { BWRAP } from '../../src/runner/sandbox/command.js';

const canMake = spawnSync(BWRAP, ['--unshare-all', '--ro-bind', '/', '/', '/bin/true']).status === 0;
if (!canMake) {
  if (process.env['CI'] !== undefined) throw new Error('bubblewrap is missing, or may make no namespaces');
  console.warn('SKIPPED: the tests of sandboxes need bubblewrap, and a machine that lets it make namespaces');
}

/** `describe` for what needs sandboxes: skipped, loudly, where there are none to be had. */
export const describeSandboxed = canMake ? describe : describe.skip;
