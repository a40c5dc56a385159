/**
 * Real coding agents on a real runner: `npm run proof:agents [-- claude codex …]`.
 *
 * Installs the agents from npm into a temporary folder, starts each on a runner with an empty home, waits until its first
 * screen is there, stops it, and prints how long each took and what state it was in. Then Claude Code works against a
 * scripted API on loopback. Ends with 1 when something failed, with 2 when they could not be installed.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { claudeAtWork } from './claude-at-work.mjs';
import { call, CannotInstall, connect, endRunner, install, startRunner } from './real-runner.mjs';
import { startMessages } from './scripted-messages.mjs';

const AGENTS = [
  { binary: 'claude', package: '@anthropic-ai/claude-code', hooks: 'claude', login: ['Select login method'] },
  { binary: 'codex', package: '@openai/codex', hooks: 'notify', login: ['Sign in with ChatGPT'] },
  { binary: 'gemini', package: '@google/gemini-cli', hooks: '', login: ['How would you like to authenticate'] },
  { binary: 'opencode', package: 'opencode-ai', hooks: '', login: [] },
];
const CTRL_C = Buffer.from([3]);
const FIRST_SCREEN_MS = 60_000;

const only = process.argv.slice(2);
const chosen = AGENTS.filter(({ binary }) => only.length === 0 || only.includes(binary));
const folder = mkdtempSync(join(tmpdir(), 'gatehouse-real-agents-'));
try {
  process.exitCode = (await prove()) ? 0 : 1;
} catch (error) {
  if (!(error instanceof CannotInstall)) throw error;
  process.exitCode = 2;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function prove() {
  const packages = chosen.map((agent) => agent.package);
  console.log(`installed in ${await install(folder, packages)} s`);
  const runner = await startRunner(folder);
  const messages = await startMessages();
  try {
    const clients = connect(folder);
    const programs = chosen.map(({ binary }) => ({ id: binary, binary, version_args: ['--version'] }));
    const { programs: found } = await call(clients.agents, 'Detect', { programs });
    for (const { id, version } of found) console.log(`found ${id}: ${version || 'no version in time'}`);
    const results = [];
    for (const agent of chosen) results.push(await firstScreen(clients, agent));
    if (chosen.some(({ binary }) => binary === 'claude'))
      results.push(await claudeAtWork(clients, folder, messages.url));
    return found.length === chosen.length && results.every(Boolean);
  } finally {
    await endRunner(runner);
    messages.stop();
  }
}

/** Starts one, sees its first screen, stops it. */
async function firstScreen({ sessions, agents }, { binary, hooks, login }) {
  const id = randomUUID();
  const begin = performance.now();
  const spec = { binary, hooks, login, delivery: 'typed', stop_keys: [CTRL_C, CTRL_C], quiet_ms: 3000 };
  const env = { NO_COLOR: '1' };
  const session = { id, cols: 100, rows: 30, cwd: join(folder, 'home'), env };
  await call(agents, 'StartAgent', { agent_id: randomUUID(), session, agent: spec });
  const state = async () => (await call(agents, 'ListAgents', {})).agents.find((each) => each.session_id === id);
  let seen = await state();
  while (seen.state === 'starting' && performance.now() - begin < FIRST_SCREEN_MS) {
    await setTimeout(100);
    seen = await state();
  }
  const shown = Math.round(performance.now() - begin);
  const { data } = await call(sessions, 'ReadOutput', { id });
  const stopping = performance.now();
  const { agent } = await call(agents, 'StopAgent', { session_id: id });
  const stopped = Math.round(performance.now() - stopping);
  // Without a network Claude Code shows its first screen, says so and leaves.
  const left = agent.state === 'failed' && /Unable.*connect/.test(data.toString());
  const fine = left || (seen.state === 'waiting_for_input' && data.length > 0 && agent.state === 'stopped');
  const what = `${seen.state}, ${seen.prompt?.kind ?? 'nothing'} (${seen.source}) after ${shown} ms`;
  console.log(
    `${fine ? 'fine' : 'FAILED'} ${binary}: ${what}, ${data.length} bytes; ${agent.state} after ${stopped} ms`,
  );
  if (!fine) console.log(data.toString().slice(-2000));
  return fine;
}
