import { DomainError } from '../kernel/errors.js';
import { nestsTooDeep } from './json-body.js';

/** 64 KiB of input, every byte of it escaped in JSON. */
const MAX_CONTROL_BYTES = 400 * 1024;

/** A control message, its `type` known, the rest not yet validated. */
export type WsMessage = Record<string, unknown> & { readonly type: string };

/** A message as its bytes came. @throws DomainError INVALID_MESSAGE */
export function parseMessage(data: Buffer): WsMessage {
  if (data.length > MAX_CONTROL_BYTES) throw new DomainError('INVALID_MESSAGE', 'The message is too long.');
  if (nestsTooDeep(data)) throw new DomainError('INVALID_MESSAGE', 'The message is nested too deep.');
  let value: unknown;
  try {
    value = JSON.parse(data.toString('utf8'), ordinary);
  } catch (error) {
    if (error instanceof DomainError) throw error;
    throw new DomainError('INVALID_MESSAGE', 'The message is not JSON.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !('type' in value)) {
    throw new DomainError('INVALID_MESSAGE', 'A message is a JSON object with a type.');
  }
  if (typeof value.type !== 'string') throw new DomainError('INVALID_MESSAGE', 'type: not a string.');
  return value as WsMessage;
}

/** As in bodies of REST: what would become an object's prototype is nothing that anybody sends by mistake. */
function ordinary(key: string, member: unknown): unknown {
  const isPrototype =
    key === '__proto__' || (key === 'constructor' && isObject(member) && Object.hasOwn(member, 'prototype'));
  if (isPrototype) throw new DomainError('INVALID_MESSAGE', 'The message has a forbidden member.');
  return member;
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
