/** The agent that is there soonest of those in test/proofs/real-agents.mjs; all of them: `npm run proof:agents`. */
import { spawn } from 'node:child_process';
import { expect, it } from '@jest/globals';

const child = spawn(process.execPath, ['test/proofs/real-agents.mjs', 'codex'], { timeout: 300_000 });
let output = '';
child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
if (code === 2) console.warn('SKIPPED: a real agent, because npm could not install it');

(code === 2 ? it.skip : it)('a real agent from npm shows its first screen, is seen to have no login, and stops', () => {
  expect(output).toMatch(/^fine codex: waiting_for_input, login/m);
  expect(code).toBe(0);
});
