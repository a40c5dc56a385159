/** What the hooks of a program mean for its agent's state: pure. */
import type { ToolCall } from './asked-permissions.js';
import type { HookMessage } from './channel-messages.js';
import type { PromptKind } from './state.js';

export type HookLesson =
  | { readonly says: 'nothing' }
  /** `complete`: these hooks tell every change. `call`: it is about this call of a tool alone. */
  | { readonly says: 'working'; readonly complete: boolean; readonly call?: ToolCall }
  /** Whatever it asked is not asked any more. */
  | { readonly says: 'over' }
  | {
      readonly says: 'waiting';
      readonly complete: boolean;
      readonly kind: PromptKind;
      readonly text: string;
      /** It may have been told already. */
      readonly again: boolean;
      /** The call of a tool that it asks about, and what of it can be found on the screen. */
      readonly call?: ToolCall;
      readonly signs?: readonly string[];
    };

const NOTHING: HookLesson = { says: 'nothing' };

/** @returns what a hook told */
export function hookLesson(hook: HookMessage): HookLesson {
  return hook.of === 'claude' ? claude(hook) : notify(hook);
}

/** Events of Claude Code about a tool that goes on, or has ended: what was asked about that tool was answered. */
const TOOLS = ['PreToolUse', 'PostToolUse', 'PostToolUseFailure', 'PermissionDenied'];
/** Tools that ask the person something, rather than for permission. */
const QUESTIONS = ['AskUserQuestion'];
/** Kinds of notification that it waits with. */
const NOTIFICATIONS: ReadonlyMap<string, PromptKind> = new Map([
  ['permission_prompt', 'permission'],
  ['idle_prompt', 'input'],
  ['elicitation_dialog', 'question'],
]);

function claude({ event, about = '', text = '', input = '', signs = [] }: HookMessage): HookLesson {
  const again = event === 'Notification';
  const waiting = (kind: PromptKind) => ({ says: 'waiting', complete: true, kind, text, again }) as const;
  const call = { name: about, input };
  if (event === 'UserPromptSubmit') return { says: 'working', complete: true };
  if (event === 'SessionEnd') return { says: 'over' };
  if (TOOLS.includes(event)) return { says: 'working', complete: true, call };
  if (event === 'PermissionRequest') {
    return { ...waiting(QUESTIONS.includes(about) ? 'question' : 'permission'), call, signs };
  }
  if (event === 'Stop') return waiting('input');
  if (event === 'StopFailure') return waiting(about === 'authentication_failed' ? 'login' : 'input');
  if (event !== 'Notification') return NOTHING;
  const kind = NOTIFICATIONS.get(about);
  return kind === undefined ? NOTHING : waiting(kind);
}

/** Codex tells when it is done, and in some versions when it asks; when it begins it does not tell. */
function notify({ event, text = '' }: HookMessage): HookLesson {
  if (event === 'agent-turn-complete') return { says: 'waiting', complete: false, kind: 'input', text, again: false };
  if (event === 'approval-requested')
    return { says: 'waiting', complete: false, kind: 'permission', text, again: false };
  return NOTHING;
}
