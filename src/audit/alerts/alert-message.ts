import { mask } from '../../kernel/mask.js';
import type { Alert } from './rule-state.js';

/** Longest value that is shown, and longest message; Slack cuts at 40,000 characters. */
const MAX_VALUE = 200;
const MAX_MESSAGE = 3000;

/** What is posted: Slack's form, which others take as well. */
export interface Message {
  readonly text: string;
}

/**
 * An alert as a message: what rule was met, by what, whose and where. Values are masked and cut, and cannot form a link, a
 * mention or a line of their own.
 * @param node the gateway that tells
 * @param lost alerts before this one that could not be sent
 */
export function messageOf({ rule, draft, count, idleDays, further }: Alert, node: string, lost: number): Message {
  const { event } = draft;
  const { action, success, reason } = event;
  const lines = [
    `*Gatehouse alert ${rule.name}*: ${summaryOf({ rule, count, idleDays, action })}`,
    ...(further === null ? [] : [`Met ${further} more times within ${rule.repeat_after_seconds} s since it was told.`]),
    `tenant ${shown(event.tenant)}, user ${shown(event.user_id)}, address ${shown(event.remote_addr)}`,
    `${action} ${success ? 'succeeded' : 'failed'}${reason === null ? '' : ` (${shown(reason)})`}, ` +
      `resource ${shown(event.resource ?? 'none')}, transport ${event.transport}`,
    ...detailsOf(event.metadata),
    `${event.timestamp}, event ${event.id}, request ${shown(event.request_id)}, gateway ${shown(node)}`,
    ...(lost === 0 ? [] : [`${lost} alerts before this one could not be sent.`]),
  ];
  return { text: cut(lines.join('\n'), MAX_MESSAGE) };
}

function summaryOf({ rule, count, idleDays, action }: Pick<Alert, 'rule' | 'count' | 'idleDays'> & { action: string }) {
  if (rule.kind === 'dormant') return `an account is used that was not seen for ${String(idleDays)} days`;
  if (rule.kind === 'any') return action;
  const actions = rule.actions.size > 1 ? `${action} and the like` : action;
  return `${String(count)} times ${actions} within ${rule.within_seconds} s, of one ${rule.group_by}`;
}

function detailsOf(metadata: Alert['draft']['event']['metadata']): string[] {
  const text = Object.entries(metadata)
    .map(([name, value]) => `${name}=${Array.isArray(value) ? value.join(' ') : String(value)}`)
    .join(', ');
  return text === '' ? [] : [shown(text)];
}

/** Masked before it is cut: half a secret is not recognised as one. */
const shown = (value: string): string =>
  escaped(cut(mask(value).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' '), MAX_VALUE));

const cut = (text: string, max: number): string => (text.length > max ? `${text.slice(0, max)}…`.toWellFormed() : text);

/** The three characters that Slack gives a meaning (links, mentions); its formatting marks can do no harm. */
const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
