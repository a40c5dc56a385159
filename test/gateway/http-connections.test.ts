import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Flood, upgrade } from '../support/flood.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { codeOf, rest } from '../support/rest.js';

const descriptorsOf = (gateway: TestGateway): number => readdirSync(`/proc/${String(gateway.pid)}/fd`).length;

/** Writes and reads, and never hangs up by itself. */
function lasting(gateway: TestGateway, bytes: string): { socket: Socket; heard: () => string; ended: () => boolean } {
  const socket = connect({ port: gateway.httpPort, host: '127.0.0.1', allowHalfOpen: true }, () => socket.write(bytes));
  let heard = '';
  let ended = false;
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
  socket.on('end', () => (ended = true));
  socket.on('error', () => undefined);
  return { socket, heard: () => heard, ended: () => ended };
}

describe('HTTP connections', () => {
  let gateway: TestGateway;
  const alice = token();

  beforeAll(async () => {
    gateway = await TestGateway.start();
  });
  afterAll(() => gateway.remove());

  it('of strangers end with the refusal, those of known callers go on', async () => {
    const list = (credential: string): string =>
      `GET /nothing HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${credential}\r\n\r\n`;
    const stranger = lasting(gateway, list('x') + list('x'));
    await until('the end', stranger.ended);
    expect(stranger.heard().match(/HTTP\/1\.1 401/g)).toHaveLength(1);
    expect(stranger.heard()).toMatch(/\r\nconnection: close\r\n/i);
    const known = lasting(gateway, list(alice) + list(alice));
    await until('both answers', () => known.heard().match(/HTTP\/1\.1 404/g)?.length === 2);
    expect(known.ended()).toBe(false);
    for (const { socket } of [stranger, known]) socket.destroy();
  });

  it('carry 32 requests at once and no more', async () => {
    const { socket, heard, ended } = lasting(
      gateway,
      'GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(2000),
    );
    await until('the end', ended);
    expect(heard().match(/HTTP\/1\.1 200/g)).toHaveLength(32);
    expect(
      heard()
        .match(/HTTP\/1\.1 \d+/g)
        ?.at(-1),
    ).toBe('HTTP/1.1 429');
    expect(heard()).toContain('RATE_LIMIT_EXCEEDED');
    socket.destroy();
  });

  it('that pipeline without end and without a credential keep nobody waiting', async () => {
    const request = Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(5000));
    const flood = Flood.start(gateway, '', request, { reading: true });
    await until('the gateway to end it', () => flood.closed);
    expect((await rest(gateway, null, 'GET', '/health/live')).status).toBe(200);
  });

  it.each([
    ['refused upgrades', upgrade('nobody')],
    ['what is no HTTP', 'hello\r\n\r\n'],
    ['headers that are too large', `GET / HTTP/1.1\r\nX-Big: ${'x'.repeat(100_000)}\r\n\r\n`],
  ])('are given up after %s, though the client never hangs up', async (_what, bytes) => {
    const before = descriptorsOf(gateway);
    const clients = Array.from({ length: 150 }, () => lasting(gateway, bytes));
    await until('answers', () => clients.every(({ heard }) => heard().startsWith('HTTP/1.1 4')));
    await until('descriptors to be free again', () => descriptorsOf(gateway) < before + 20);
    for (const { socket } of clients) socket.destroy();
  });

  it('still tell a client that sends a long body why it was refused', async () => {
    const answer = await rest(gateway, 'x', 'POST', '/api/v1/sessions', { name: 'x'.repeat(350_000) });
    expect([answer.status, codeOf(answer)]).toEqual([401, 'JWT_INVALID']);
  });

  it.each([
    ['that cannot be decoded', '/%ff', 400, 'MALFORMED_REQUEST'],
    ['with a parameter that is too long', `/api/v1/sessions/${'a'.repeat(500)}`, 401, 'AUTH_TOKEN_MISSING'],
  ])('answer an address %s in the one shape of errors', async (_what, path, status, code) => {
    const answer = await rest(gateway, null, 'GET', path);
    expect([answer.status, codeOf(answer)]).toEqual([status, code]);
    expect(answer.headers.get('x-request-id')).toBe((answer.body['error'] as { request_id: string }).request_id);
  });
});
