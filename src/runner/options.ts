import { readFileSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { SANDBOXES, type SandboxKind } from '../kernel/link.js';
import { MIN_RING_BYTES } from './ring-budget.js';
import { parseTlsOptions, TLS_FLAGS, type TlsOptions } from './tls-options.js';

export interface RunnerOptions {
  /** Where the sockets are. */
  readonly directory: string;
  /** Where the runner's id is kept. */
  readonly idFile: string;
  readonly ringBytes: number;
  /** For the rings of all live sessions together. */
  readonly ringsTotalBytes: number;
  readonly maxSessions: number;
  readonly retentionMs: number;
  /** The folders that repositories may lie in. */
  readonly projectRoots: readonly string[];
  /** Repositories whose `.gatehouse.yaml` is followed. */
  readonly trustedRepositories: readonly string[];
  /** Where worktrees are made. */
  readonly worktreeRoot: string;
  /** The id of the group that may use the sockets beside their owner; null: nobody else may. */
  readonly socketsForGroup: number | null;
  /** What sessions run in. */
  readonly sandbox: SandboxKind;
  /** What every sandbox shows beside the system. */
  readonly sandboxReadOnly: readonly string[];
  /** For gateways of other machines; null: there are none. */
  readonly tls: TlsOptions | null;
}

const MAX_RING_BYTES = 1024 * 1024 * 1024;
const MAX_TOTAL_BYTES = 1024 * MAX_RING_BYTES;

/**
 * Reads the command line.
 * @throws TypeError or RangeError saying what is wrong with it
 */
export function parseOptions(args: readonly string[]): RunnerOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      dir: { type: 'string' },
      'id-file': { type: 'string' },
      'ring-bytes': { type: 'string', default: String(4 * 1024 * 1024) },
      'rings-total-bytes': { type: 'string', default: String(1024 * 1024 * 1024) },
      'max-sessions': { type: 'string', default: '1000' },
      'retention-seconds': { type: 'string', default: '86400' },
      'project-root': { type: 'string', multiple: true, default: [] },
      'trusted-repository': { type: 'string', multiple: true, default: [] },
      'worktree-root': { type: 'string' },
      'sockets-for-group': { type: 'string' },
      sandbox: { type: 'string', default: 'none' },
      'sandbox-read-only': { type: 'string', multiple: true, default: [] },
      ...TLS_FLAGS,
    },
  });
  if (values.dir === undefined) throw new TypeError('--dir <socket directory> is required');
  return {
    directory: values.dir,
    idFile: values['id-file'] ?? join(values.dir, 'runner.id'),
    ringBytes: parseNumber('--ring-bytes', values['ring-bytes'], MIN_RING_BYTES, MAX_RING_BYTES),
    ringsTotalBytes: parseNumber('--rings-total-bytes', values['rings-total-bytes'], MIN_RING_BYTES, MAX_TOTAL_BYTES),
    maxSessions: parseNumber('--max-sessions', values['max-sessions'], 1, 100_000),
    retentionMs: parseNumber('--retention-seconds', values['retention-seconds'], 0, 31_536_000) * 1000,
    projectRoots: values['project-root'].map((each) => parseFolder('--project-root', each)),
    trustedRepositories: values['trusted-repository'].map((each) => parseFolder('--trusted-repository', each)),
    worktreeRoot: parseFolder('--worktree-root', values['worktree-root'] ?? resolve(values.dir, 'worktrees')),
    socketsForGroup: groupOf(values['sockets-for-group']),
    sandbox: parseSandbox(values.sandbox),
    sandboxReadOnly: values['sandbox-read-only'].map((each) => parseFolder('--sandbox-read-only', each)),
    tls: parseTlsOptions(values),
  };
}

function groupOf(name: string | undefined): number | null {
  if (name === undefined) return null;
  for (const line of readFileSync('/etc/group', 'utf8').split('\n')) {
    const [found, , id = ''] = line.split(':');
    if (found === name && /^\d+$/.test(id)) return Number(id);
  }
  throw new TypeError(`--sockets-for-group: there is no group ${name} on this machine`);
}

function parseSandbox(text: string): SandboxKind {
  const found = SANDBOXES.find((each) => each === text);
  if (found !== undefined) return found;
  throw new TypeError(`--sandbox must be one of ${SANDBOXES.join(', ')}`);
}

function parseFolder(flag: string, text: string): string {
  if (isAbsolute(text)) return text;
  throw new TypeError(`${flag} must be an absolute folder`);
}

function parseNumber(flag: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  throw new RangeError(`${flag} must be a whole number from ${String(min)} to ${String(max)}`);
}
