import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const SCRIPTS = resolve('test/support/agents');

/** What agents.yaml says of the scripted agents. */
const AGENTS_YAML = String.raw`
providers:
  plain:
    name: Plain
    binary: plain-agent
    model: { args: [--model, '{model}'] }
    ask: { env: { PLAIN_ASKS: 'yes' } }
    auto: { args: [--yes], env: { PLAIN_AUTO: 'yes' } }
    resume_args: [--again]
    screen: { ready: ['^> ?$'], waiting: ['\[y/n\] ?$'], login: ['not logged in'] }
    keys: { approve: "y\r", deny: "n\r", stop: ["\x04"] }
    quiet_seconds: 0.5
  forgetful:
    name: Cannot be taken up
    binary: plain-agent
    screen: { ready: ['^> ?$'] }
    keys: { stop: ["\x04"] }
    quiet_seconds: 0.5
  piped:
    name: Reads its prompt
    binary: plain-agent
    prompt: { delivery: stdin }
    keys: { stop: ["\x03"] }
    quiet_seconds: 0.5
  absent: { name: Absent, binary: not-installed-anywhere }
custom: [plain-agent]
`;

/**
 * Puts the scripted agents and an agents.yaml into a folder.
 * @returns the environment of a gateway whose runner finds them
 */
export function scriptedAgents(folder: string): Record<string, string> {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'plain-agent'), `#!/bin/sh\nexec '${process.execPath}' '${SCRIPTS}/plain-agent.mjs' "$@"\n`);
  chmodSync(join(bin, 'plain-agent'), 0o755);
  writeFileSync(join(folder, 'agents.yaml'), AGENTS_YAML);
  return { PATH: `${bin}:${process.env['PATH'] ?? ''}`, AGENTS_CONFIG: join(folder, 'agents.yaml') };
}
