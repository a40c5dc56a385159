/** Parses what the gateway sends on the byte link. It is trusted, and its messages are checked all the same. */
import type { LinkAttach, LinkRequest } from '../kernel/link.js';

/** A subject is the longest. */
const MAX_TEXT = 256;

type Fields = Record<string, unknown>;

/**
 * Reads one control message.
 * @throws RangeError when it is not one: the connection is to be dropped
 */
export function parseLinkRequest(payload: Buffer): LinkRequest {
  const fields = parseObject(payload);
  switch (fields['type']) {
    case 'attach':
      return parseAttach(fields);
    case 'resize':
      return { type: 'resize', cols: integer(fields, 'cols'), rows: integer(fields, 'rows') };
    case 'take_control':
      return { type: 'take_control' };
    case 'permit':
      return { type: 'permit', may_control: flag(fields, 'may_control') };
    case 'ack':
      return { type: 'ack', offset: integer(fields, 'offset') };
    default:
      throw new RangeError('unknown message on the link');
  }
}

function parseObject(payload: Buffer): Fields {
  let value: unknown;
  try {
    value = JSON.parse(payload.toString());
  } catch {
    throw new RangeError('message on the link is not JSON');
  }
  if (typeof value !== 'object' || value === null) throw new RangeError('message on the link is not an object');
  return value as Fields;
}

function parseAttach(fields: Fields): LinkAttach {
  const { mode } = fields;
  const channel = integer(fields, 'channel');
  if (channel > 0xffff) throw new RangeError('channel on the link');
  if (mode !== undefined && mode !== 'controller' && mode !== 'viewer') throw new RangeError('mode on the link');
  return {
    type: 'attach',
    session: text(fields, 'session'),
    channel,
    mode,
    may_control: flag(fields, 'may_control'),
    from: optional(fields, 'from', integer),
    cols: optional(fields, 'cols', integer),
    rows: optional(fields, 'rows', integer),
    epoch: optional(fields, 'epoch', text),
    writer_id: optional(fields, 'writer_id', text),
    raw: optional(fields, 'raw', flag) ?? false,
    user: text(fields, 'user'),
  };
}

function optional<T>(fields: Fields, name: string, read: (fields: Fields, name: string) => T): T | undefined {
  return fields[name] === undefined ? undefined : read(fields, name);
}

function integer(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new RangeError(`${name} on the link`);
}

function flag(fields: Fields, name: string): boolean {
  const value = fields[name];
  if (typeof value === 'boolean') return value;
  throw new RangeError(`${name} on the link`);
}

function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value === 'string' && value !== '' && value.length <= MAX_TEXT) return value;
  throw new RangeError(`${name} on the link`);
}
