import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { StartCommand } from './pty.schema.js';

/** Injection token of the keys, as {@link requestKeys} makes them: the first one makes hashes, all check. */
export const REQUEST_KEYS = Symbol('REQUEST_KEYS');

const KEY_BYTES = 32;

/** One for each signing secret, by HKDF-SHA-256 (RFC 5869): it can tell requests apart, and sign no token. */
export const requestKeys = (secrets: readonly string[]): readonly Buffer[] =>
  secrets.map((secret) => Buffer.from(hkdfSync('sha256', secret, '', 'gatehouse session request', KEY_BYTES)));

/** Whose request it is, and how its owner names it. */
export interface Requested {
  readonly tenant: string;
  readonly ownerProvider: string;
  readonly ownerSubject: string;
  readonly requestId: string;
}

/**
 * Tells whether a request that came again is the same one, by a hash in the session's row. The environment's values count,
 * or a repetition with another one would get the wrong session; and they may be secrets of few possible values, which
 * whoever reads the table could guess from a plain hash. So it is an HMAC-SHA-256, under a key that is not in the
 * database. A hash of a secret that has been rotated away is like none: the request is refused as another one.
 */
@Injectable()
export class RequestHash {
  constructor(@Inject(REQUEST_KEYS) private readonly keys: readonly Buffer[]) {}

  /**
   * The hash to keep.
   * @param content what was asked for, as JSON can tell it; always in the same order
   * @throws Error without a key
   */
  of(by: Requested, content: readonly unknown[]): string {
    const [key] = this.keys;
    if (key === undefined) throw new Error('No key for the hashes of requests');
    return macOf(key, by, content).toString('base64');
  }

  /** Was it made of the same request? */
  matches(stored: string | null, by: Requested, content: readonly unknown[]): boolean {
    const kept = Buffer.from(stored ?? '', 'base64');
    if (kept.length !== KEY_BYTES) return false;
    return this.keys.some((key) => timingSafeEqual(kept, macOf(key, by, content)));
  }
}

function macOf(key: Buffer, by: Requested, content: readonly unknown[]): Buffer {
  const text = JSON.stringify([[by.tenant, by.ownerProvider, by.ownerSubject, by.requestId], ...content]);
  return createHmac('sha256', key).update(text).digest();
}

/** What the start of a session asks for. Of a request from before there were worktrees it is what it was. */
export function contentOf(command: StartCommand): readonly unknown[] {
  const { name, command: argv, cwd, env, cols, rows, worktree_id: worktree } = command;
  const variables = Object.entries(env).sort(([one], [other]) => (one < other ? -1 : 1));
  return [
    [name ?? null, argv, cwd ?? null, variables, cols, rows],
    [command.idle_timeout_seconds ?? null, command.max_duration_seconds ?? null],
    ...(worktree === undefined ? [] : [worktree]),
  ];
}
