import { WebSocket } from 'ws';
import type { TestGateway } from '../support/gateway.js';
import { hostileJson, hostileObject } from './hostile-values.js';
import type { Chance } from './random.js';
import type { Surface } from './surface.js';

/** Fewer than the invalid ones that end a connection. */
const MESSAGES = 8;
const ANSWER_MS = 20_000;

/** What is sent on one connection, in order. */
export interface SocketAttack {
  readonly path: string;
  readonly binary: boolean;
  readonly messages: readonly (string | Buffer)[];
}

/** Messages of known types with hostile fields, of unknown ones, that are no JSON, and frames of bytes. */
export function socketAttack(chance: Chance, { messages, fields }: Surface, ids: readonly string[]): SocketAttack {
  const names = [...fields, 'id', 'channel', 'from', 'mode', 'data', 'offset', 'token'];
  const one = (): string | Buffer => {
    if (chance.happens(0.15)) return chance.bytes(chance.pick([0, 1, 15, 16, 40, 5000]));
    if (chance.happens(0.15)) return hostileJson(chance, names, ids);
    return JSON.stringify({ ...hostileObject(chance, names, ids), type: chance.pick([...messages, 'nonsense']) });
  };
  return {
    path: chance.pick(['/ws', '/ws', `/ws/pty?session_id=${chance.pick(ids)}`]),
    binary: chance.happens(0.5),
    messages: Array.from({ length: MESSAGES }, one),
  };
}

/** `answered` when the connection still serves after all, else what it was closed or refused with. */
export function sendSocket(gateway: TestGateway, credential: string, attack: SocketAttack): Promise<string> {
  const socket = new WebSocket(gateway.wsUrl + attack.path, attack.binary ? ['gatehouse.v1'] : [], {
    headers: { authorization: `Bearer ${credential}` },
    perMessageDeflate: false,
  });
  return new Promise((resolve) => {
    const silence = setTimeout(() => {
      resolve('no answer');
      socket.terminate();
    }, ANSWER_MS);
    socket.on('error', () => undefined);
    socket.on('unexpected-response', (_request, response) => {
      resolve(`refused ${String(response.statusCode)}`);
      response.resume();
      socket.terminate();
    });
    socket.on('open', () => {
      for (const message of attack.messages) socket.send(message);
      socket.send('{"type":"ping","id":"the last one"}');
    });
    socket.on('message', (data: Buffer) => {
      if (!data.includes('the last one')) return;
      resolve('answered');
      socket.terminate();
    });
    socket.on('close', (code) => {
      clearTimeout(silence);
      resolve(`closed ${String(code)}`);
    });
  });
}
