/** What an agent that speaks ACP does, as text in a terminal: pure. */
import type { PermissionOption, RequestPermissionRequest, SessionUpdate } from '@agentclientprotocol/sdk';
import type { z } from 'zod';
import { type fromAgent, MAX_TOLD_OPTIONS } from './channel-messages.js';

type Asked = Extract<z.infer<typeof fromAgent>, { type: 'acp_permission' }>;
type AskedOption = Asked['options'][number];

/** A text of the agent's steers no terminal. */
// eslint-disable-next-line no-control-regex -- all of them, but for tab and line feed
const CONTROL = /[\0-\x08\x0b-\x1f\x7f-\x9f]/g;
const MAX_TITLE = 200;

/** The text without control characters, but for lines and tabs. */
export function shown(text: string): string {
  return text.replace(/\r\n?/g, '\n').replace(CONTROL, '');
}

/** The text that tells an update; empty for one that nobody needs to see. */
export function textOf(update: SessionUpdate): string {
  switch (update.sessionUpdate) {
    case 'agent_message_chunk':
    case 'user_message_chunk':
      return update.content.type === 'text' ? shown(update.content.text) : `[${update.content.type}]`;
    case 'tool_call':
      return `\n[${titled(update.title)}]\n`;
    case 'tool_call_update':
      return update.status === 'failed' ? `\n[failed: ${titled(update.title ?? update.toolCallId)}]\n` : '';
    case 'plan':
      return `\n${update.entries.map(({ content, status }) => `  ${status}: ${titled(content)}`).join('\n')}\n`;
    default:
      return '';
  }
}

/** What a request for permission is about. */
export function questionOf({ toolCall }: RequestPermissionRequest): string {
  return titled(toolCall.title ?? toolCall.toolCallId);
}

/**
 * How it can be answered, in the words of the runner. What holds for always is neither plainly to allow nor to deny, as
 * long as there is an option for this once.
 */
export function optionsOf(options: readonly PermissionOption[]): AskedOption[] {
  const has = (kind: PermissionOption['kind']): boolean => options.some((option) => option.kind === kind);
  const kindOf = (kind: PermissionOption['kind']): AskedOption['kind'] => {
    if (kind === 'allow_once' || (kind === 'allow_always' && !has('allow_once'))) return 'allow';
    return kind === 'reject_once' || (kind === 'reject_always' && !has('reject_once')) ? 'deny' : 'other';
  };
  // Named by their number: the agent's own names may be anything.
  return options
    .slice(0, MAX_TOLD_OPTIONS)
    .map(({ name, kind }, index) => ({ id: String(index + 1), label: titled(name), kind: kindOf(kind) }));
}

/** The number of the option that a typed line means, undefined when it means none. */
export function chosen(line: string, options: readonly AskedOption[]): string | undefined {
  const word = line.trim().toLowerCase();
  const kind = { y: 'allow', yes: 'allow', n: 'deny', no: 'deny' }[word];
  return options.find((option) => option.id === word || option.kind === kind)?.id;
}

function titled(text: string): string {
  return shown(text).replace(/\s+/g, ' ').slice(0, MAX_TITLE);
}
