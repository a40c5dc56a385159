import type { AgentSpec__Output } from '../../generated/gatehouse/runner/v1/AgentSpec.js';
import { DomainError } from '../../kernel/errors.js';
import { isConversationId } from './conversation-id.js';
import { Patterns } from './patterns.js';
import { plainText } from './typed-text.js';

const DELIVERIES = ['argument', 'flag', 'stdin', 'typed', 'acp'] as const;
const HOOKS = ['', 'claude', 'notify'] as const;
const MAX_KEYS_BYTES = 64;
const MAX_STOP_KEYS = 8;
const MAX_QUIET_MS = 3_600_000;
const MAX_CPU_PERCENT = 102_400;

export type Delivery = (typeof DELIVERIES)[number];
export type HookKind = (typeof HOOKS)[number];

/** How an agent is started, steered and understood. */
export interface Spec {
  readonly binary: string;
  readonly args: readonly string[];
  /** Without control characters; empty for none. */
  readonly prompt: string;
  readonly delivery: Delivery;
  readonly promptFlag: string;
  readonly hooks: HookKind;
  readonly acp: boolean;
  readonly ready: Patterns;
  readonly waiting: Patterns;
  readonly login: Patterns;
  readonly approveKeys: Buffer;
  readonly denyKeys: Buffer;
  readonly stopKeys: readonly Buffer[];
  readonly submitKeys: Buffer;
  /** 0: quiet means nothing. */
  readonly quietMs: number;
  readonly memoryBytes: number;
  readonly cpuPercent: number;
  readonly resumeId: string;
}

/** @throws DomainError INVALID_ARGUMENT naming the field */
export function parseSpec(sent: AgentSpec__Output): Spec {
  const acp = sent.acp ?? false;
  const spec: Spec = {
    binary: sent.binary ?? '',
    args: sent.args ?? [],
    prompt: plainText(sent.prompt ?? '', 'prompt'),
    delivery: oneOf(DELIVERIES, sent.delivery ?? '', 'delivery'),
    promptFlag: sent.prompt_flag ?? '',
    hooks: oneOf(HOOKS, sent.hooks ?? '', 'hooks'),
    acp,
    ready: new Patterns(sent.ready ?? [], 'ready'),
    waiting: new Patterns(sent.waiting ?? [], 'waiting'),
    login: new Patterns(sent.login ?? [], 'login'),
    approveKeys: keys(sent.approve_keys, 'approve_keys'),
    denyKeys: keys(sent.deny_keys, 'deny_keys'),
    stopKeys: (sent.stop_keys ?? []).map((each) => keys(each, 'stop_keys')),
    submitKeys: keys(sent.submit_keys, 'submit_keys'),
    quietMs: atMost(sent.quiet_ms ?? 0, MAX_QUIET_MS, 'quiet_ms'),
    memoryBytes: atMost(sent.memory_bytes ?? 0, Number.MAX_SAFE_INTEGER, 'memory_bytes'),
    cpuPercent: atMost(sent.cpu_percent ?? 0, MAX_CPU_PERCENT, 'cpu_percent'),
    resumeId: sent.resume_id ?? '',
  };
  check(spec);
  return spec;
}

function check(spec: Spec): void {
  if (spec.acp !== (spec.delivery === 'acp')) throw invalid('delivery', 'must be acp with acp, and only then');
  if (spec.acp && spec.hooks !== '') throw invalid('hooks', 'must be empty with acp');
  if (spec.delivery === 'flag' && spec.promptFlag === '') throw invalid('prompt_flag', 'is needed to deliver by flag');
  if (spec.stopKeys.length > MAX_STOP_KEYS) throw invalid('stop_keys', `may be ${MAX_STOP_KEYS} at most`);
  if (spec.resumeId !== '' && !isConversationId(spec.resumeId)) {
    throw invalid('resume_id', 'must be 128 letters, digits, and ._:- at most, and begin with a letter or digit');
  }
}

function oneOf<T extends string>(known: readonly T[], value: string, field: string): T {
  const found = known.find((each) => each === value);
  if (found === undefined) throw invalid(field, 'is not one that is known');
  return found;
}

function keys(bytes: Buffer | undefined, field: string): Buffer {
  if ((bytes?.length ?? 0) > MAX_KEYS_BYTES) throw invalid(field, `may be ${MAX_KEYS_BYTES} bytes long at most`);
  return bytes ?? Buffer.alloc(0);
}

function atMost(value: number, limit: number, field: string): number {
  if (value > limit) throw invalid(field, `may be ${limit} at most`);
  return value;
}

export function invalid(field: string, problem: string): DomainError {
  return new DomainError('INVALID_ARGUMENT', `${field} ${problem}.`, { details: { fields: [{ field, problem }] } });
}
