/** The settings file that makes Claude Code call our hook, beside whatever settings of its own it has. */
import { fileURLToPath } from 'node:url';

/** Our hook, to be run by Node. */
export const HOOK_PROGRAM = fileURLToPath(new URL('./hook-main.js', import.meta.url));
/** It gives up well before. */
const TIMEOUT_SECONDS = 5;

const EVENTS = [
  'SessionStart',
  'UserPromptSubmit',
  'PreToolUse',
  'PostToolUse',
  'PostToolUseFailure',
  'PermissionRequest',
  'PermissionDenied',
  'Notification',
  'Stop',
  'StopFailure',
  'SessionEnd',
];

/** The text of the file. The commands in it are run by a shell of Claude Code's: they are ours alone, and quoted. */
export function claudeSettings(node: string): string {
  const hooks = EVENTS.map((event) => {
    const command = [node, HOOK_PROGRAM, 'claude', event, 'signs'].map(quoted).join(' ');
    return [event, [{ hooks: [{ type: 'command', command, timeout: TIMEOUT_SECONDS }] }]] as const;
  });
  return JSON.stringify({ hooks: Object.fromEntries(hooks) }, null, 2);
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
