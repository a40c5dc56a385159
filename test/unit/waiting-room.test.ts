import '../support/nest-first.js';
import { describe, expect, it } from '@jest/globals';
import pino from 'pino';
import { DomainError } from '../../src/kernel/errors.js';
import { systemContext } from '../../src/kernel/request-context.js';
import { WaitingRoom } from '../../src/transport/waiting-room.js';
import { WsConnection } from '../../src/transport/ws-connection.js';
import { pause, until } from '../support/gateway.js';
import { wsPair } from '../support/ws-pair.js';

const WITHIN_MS = 100;

async function connection(): Promise<{ connection: WsConnection; end: () => void }> {
  const { client, wire, ...pair } = await wsPair();
  const url = new URL('ws://gatehouse/ws');
  return {
    connection: new WsConnection(client, wire, systemContext(), url, pino({ level: 'silent' })),
    end: () => {
      pair.end();
    },
  };
}

describe('the waiting room', () => {
  it('closes who does not say in time who they are, and only them', async () => {
    const room = new WaitingRoom(2, WITHIN_MS);
    const [silent, known] = [await connection(), await connection()];
    let welcomed = 0;
    for (const each of [silent, known]) room.admit(each.connection, () => (welcomed += 1));
    expect(() => {
      room.requireRoom();
    }).toThrow(DomainError);
    known.connection.authenticated();
    known.connection.authenticated();
    await pause(2 * WITHIN_MS);
    expect([silent.connection.open, known.connection.open, welcomed]).toEqual([false, true, 1]);
    silent.end();
    await until('room again', () => silent.connection.socket.readyState === silent.connection.socket.CLOSED);
    known.end();
    room.requireRoom();
  });
});
