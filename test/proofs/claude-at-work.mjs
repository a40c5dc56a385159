/** The real Claude Code against a scripted API on loopback: its hooks, an approval, a message, and a stop. */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { call } from './real-runner.mjs';

const STEP_MS = 60_000;
/** No key of anybody's. */
const KEY = 'sk-ant-api03-scripted-scripted-scripted-scriptedAA';
const KEYS = { approve_keys: Buffer.from('1'), deny_keys: Buffer.from('\x1b') };
const CTRL_C = Buffer.from([3]);

/** @returns whether it went as it should */
export async function claudeAtWork({ agents }, folder, url) {
  const work = prepare(folder);
  const id = randomUUID();
  const env = { ANTHROPIC_API_KEY: KEY, ANTHROPIC_BASE_URL: url, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1' };
  const spec = {
    binary: 'claude',
    args: ['--permission-mode', 'default'],
    hooks: 'claude',
    delivery: 'typed',
    prompt: 'please run touch now',
    ...KEYS,
  };
  const signs = { ready: ['^\\s*❯'], waiting: ['Do you want to'], quiet_ms: 5000, stop_keys: [CTRL_C, CTRL_C] };
  const session = { id, cols: 100, rows: 30, cwd: work, env };
  await call(agents, 'StartAgent', { agent_id: randomUUID(), session, agent: { ...spec, ...signs } });
  const states = [];
  const reaches = async (kind) => {
    for (const begin = performance.now(); performance.now() - begin < STEP_MS; await setTimeout(20)) {
      const { agents: all } = await call(agents, 'ListAgents', {});
      const agent = all.find((each) => each.session_id === id);
      const seen = `${agent.prompt?.kind ?? agent.state} (${agent.source})`;
      if (seen !== states.at(-1)) states.push(seen);
      if (seen === `${kind} (hook)`) return agent;
    }
    throw new Error(`it never came to ${kind}: ${states.join(', ')}`);
  };
  const { prompt } = await reaches('permission');
  await call(agents, 'AnswerAgent', { session_id: id, prompt_id: prompt.id, option_id: 'allow' });
  const done = await reaches('input');
  await call(agents, 'MessageAgent', { session_id: id, text: 'second\nmessage', submit: true });
  await reaches('working');
  await reaches('input');
  const { agent } = await call(agents, 'StopAgent', { session_id: id });
  const made = existsSync(join(work, 'made-by-agent'));
  console.log(
    `claude at work: ${states.join(', ')}, ${agent.state}; asked “${prompt.text}”, the file ${made ? 'was' : 'was NOT'} made`,
  );
  return made && agent.state === 'stopped' && done.resume_id !== '';
}

/** A folder to work in, and a home that has been through the first start. */
function prepare(folder) {
  const work = join(folder, 'work');
  mkdirSync(work);
  const settings = {
    hasCompletedOnboarding: true,
    customApiKeyResponses: { approved: [KEY.slice(-20)], rejected: [] },
    projects: { [work]: { hasTrustDialogAccepted: true } },
  };
  writeFileSync(join(folder, 'home', '.claude.json'), JSON.stringify(settings));
  return work;
}
