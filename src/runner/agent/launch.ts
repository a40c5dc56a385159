/** How an agent is started: its argument vector, what it finds in its environment, and the files it is given. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DomainError } from '../../kernel/errors.js';
import { randomToken } from '../../kernel/ids.js';
import { PACKAGE } from '../../kernel/package.js';
import { Channel } from './channel.js';
import { CHANNEL_SOCKET, CHANNEL_TOKEN, type FromAgent } from './channel-messages.js';
import { claudeSettings, HOOK_PROGRAM } from './claude-settings.js';
import { findProgram } from './program.js';
import type { Extra } from '../sandbox/sandbox.js';
import type { Spec } from './spec.js';

const STDIN_PROGRAM = fileURLToPath(new URL('./stdin-main.js', import.meta.url));
const ACP_PROGRAM = fileURLToPath(new URL('./acp-main.js', import.meta.url));

/** The programs of ours that run beside an agent, and what they are made of: of this package nothing else. */
const OUR_CODE = [
  process.execPath,
  resolve(fileURLToPath(new URL('../..', import.meta.url))),
  ...['package.json', 'proto', 'node_modules'].map((name) => join(PACKAGE, name)),
];

/** What an agent is started with. */
export interface Launch {
  readonly command: readonly string[];
  /** Beside what every session has. */
  readonly env: Readonly<Record<string, string>>;
  readonly channel: Channel | undefined;
  /** What it needs to be shown in a sandbox. */
  readonly shows: Extra;
  /** It has ended: nothing of it is left. */
  dispose(): void;
}

/**
 * Prepares a start.
 * @param folder where the private folders of all agents are
 * @param path the PATH that the program is looked up in
 * @param heard told what its hooks say
 * @throws DomainError AGENT_BINARY_MISSING, INVALID_ARGUMENT
 */
export async function prepareLaunch(
  spec: Spec,
  folder: string,
  path: string | undefined,
  heard: (message: FromAgent) => void,
): Promise<Launch> {
  const program = findProgram(spec.binary, path, 'binary');
  if (program === undefined) throw new DomainError('AGENT_BINARY_MISSING', `${spec.binary} is not installed.`);
  // As short as can be: the path of a socket has to fit into 107 bytes.
  const own = join(folder, randomToken(6));
  mkdirSync(own, { recursive: true, mode: 0o700 });
  let channel: Channel | undefined;
  const dispose = (): void => {
    channel?.close();
    rmSync(own, { recursive: true, force: true });
  };
  try {
    const kind = spec.acp ? 'acp' : spec.hooks;
    if (kind !== '') channel = await Channel.open(join(own, 's'), kind, heard);
    const env = channel ? { [CHANNEL_SOCKET]: channel.path, [CHANNEL_TOKEN]: channel.token } : {};
    return { command: commandOf(spec, program, own), env, channel, shows: showsOf(spec, own), dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

/** Its own folder, with the socket for its hooks; written to only where a prompt is taken out of it. */
function showsOf(spec: Spec, own: string): Extra {
  const takes = spec.delivery === 'stdin';
  const ours = spec.acp || takes || spec.hooks !== '' ? OUR_CODE : [];
  return { readOnly: takes ? ours : [...ours, own], writable: takes ? [own] : [] };
}

function commandOf(spec: Spec, program: string, own: string): string[] {
  const node = process.execPath;
  if (spec.acp) return [node, ACP_PROGRAM, spec.resumeId, program, ...spec.args];
  const command = [program, ...hookArguments(spec, own), ...spec.args];
  if (spec.prompt === '' || spec.delivery === 'typed') return command;
  if (spec.delivery === 'stdin') {
    const file = join(own, 'prompt');
    writeFileSync(file, spec.prompt, { mode: 0o600 });
    return [node, STDIN_PROGRAM, file, ...command];
  }
  // A text that begins like an option would be taken for one.
  const argument = spec.prompt.startsWith('-') ? ` ${spec.prompt}` : spec.prompt;
  return spec.delivery === 'flag' ? [...command, spec.promptFlag, argument] : [...command, argument];
}

function hookArguments(spec: Spec, own: string): string[] {
  if (spec.hooks === 'notify') return ['-c', `notify=${JSON.stringify([process.execPath, HOOK_PROGRAM, 'notify'])}`];
  if (spec.hooks !== 'claude') return [];
  const file = join(own, 'settings.json');
  writeFileSync(file, claudeSettings(process.execPath), { mode: 0o600 });
  return ['--settings', file];
}
