import { type Client, Metadata, type StatusObject } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { NUMBERS, TEXTS } from './hostile-values.js';
import type { Chance } from './random.js';
import type { Method } from './surface.js';

const DEADLINE_MS = 20_000;
/** How long a stream is listened to that neither ends nor fails. */
const LISTEN_MS = 150;
const MAX_DEPTH = 4;

/** A message of this type by its bytes: hostile values, or bytes that are no message at all. */
export function hostileMessage(chance: Chance, type: protobuf.Type, ids: readonly string[]): Buffer {
  if (chance.happens(0.15)) return chance.bytes(chance.pick([1, 7, 200]));
  if (chance.happens(0.05)) return Buffer.alloc(300 * 1024, chance.below(256));
  const bytes = Buffer.from(type.encode(type.fromObject(fill(chance, type, ids, 0))).finish());
  if (chance.happens(0.1)) return bytes.subarray(0, chance.below(bytes.length + 1));
  if (chance.happens(0.1)) return Buffer.concat([bytes, bytes]);
  return bytes;
}

function fill(chance: Chance, type: protobuf.Type, ids: readonly string[], depth: number): Record<string, unknown> {
  const fields = type.fieldsArray.filter(() => chance.happens(0.6));
  return Object.fromEntries(fields.map((field) => [field.name, fieldValue(chance, field, ids, depth)]));
}

function fieldValue(chance: Chance, field: protobuf.Field, ids: readonly string[], depth: number): unknown {
  const one = (): unknown => {
    const inner = field.resolvedType;
    if (inner instanceof protobuf.Type) return depth < MAX_DEPTH ? fill(chance, inner, ids, depth + 1) : {};
    if (inner instanceof protobuf.Enum) return chance.pick([...Object.values(inner.values), 99]);
    if (field.type === 'string') return chance.pick(chance.happens(0.4) ? ids : TEXTS);
    if (field.type === 'bytes') return chance.bytes(chance.pick([0, 1, 5000]));
    if (field.type === 'bool') return chance.happens(0.5);
    return chance.pick(NUMBERS);
  };
  if (field instanceof protobuf.MapField) return { [chance.pick(TEXTS)]: one() };
  return field.repeated ? Array.from({ length: chance.pick([0, 1, 3, 400]) }, one) : one();
}

/** What a call with these messages ends with; a stream that goes on is cancelled, which is an end too. */
export function sendGrpc(
  client: Client,
  credential: string,
  method: Method,
  messages: readonly Buffer[],
): Promise<StatusObject> {
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${credential}`);
  // As one of both streams: on the wire a unary call is a stream of one message each way.
  const call = client.makeBidiStreamRequest(method.path, same, same, metadata, { deadline: Date.now() + DEADLINE_MS });
  return new Promise((resolve) => {
    call.on('data', () => {
      setTimeout(() => {
        call.cancel();
      }, LISTEN_MS);
    });
    call.on('error', () => undefined);
    call.on('status', (ended: StatusObject) => {
      resolve(ended);
    });
    for (const message of messages) call.write(message);
    if (method.streams) setTimeout(() => call.end(), LISTEN_MS);
    else call.end();
    // One that watches for changes answers when there are some.
    setTimeout(() => {
      call.cancel();
    }, LISTEN_MS * 10);
  });
}

const same = (bytes: Buffer): Buffer => bytes;
