/** How an agent is started: its argument vector, what it finds in its environment, and the files it is given. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DomainError } from '../../kernel/errors.js';
import { randomToken } from '../../kernel/ids.js';
import { Channel } from './channel.js';
import { CHANNEL_SOCKET, CHANNEL_TOKEN, type FromAgent } from './channel-messages.js';
import { claudeSettings, HOOK_PROGRAM } from './claude-settings.js';
import { findProgram } from './program.js';
import type { Spec } from './spec.js';

const STDIN_PROGRAM = fileURLToPath(new URL('./stdin-main.js', import.meta.url));
const ACP_PROGRAM = fileURLToPath(new URL('./acp-main.js', import.meta.url));

/** What an agent is started with. */
export interface Launch {
  readonly command: readonly string[];
  /** Beside what every session has. */
  readonly env: Readonly<Record<string, string>>;
  readonly channel: Channel | undefined;
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
    return { command: commandOf(spec, program, own), env, channel, dispose };
  } catch (error) {
    dispose();
    throw error;
  }
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
