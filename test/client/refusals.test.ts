import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { WebSocket as PackageSocket } from 'ws';
import { AttachError, type AttachOptions, type OpenSocket } from '../../src/client/index.js';
import { Page } from '../support/client-page.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { rest, startSession } from '../support/rest.js';

describe('a refused client of the library', () => {
  let gateway: TestGateway;
  const alice = token();
  const admin = token({ sub: 'root', roles: ['admin'] });

  beforeAll(async () => {
    gateway = await TestGateway.start();
  });
  afterAll(() => gateway.remove());

  const page = (session: string, options: Partial<AttachOptions> = {}): Page =>
    new Page({ url: gateway.url, session, credential: alice, ...options });

  const inHeader =
    (credential: string): OpenSocket =>
    (address, protocols, { refused }) => {
      const socket = new PackageSocket(address, protocols, { headers: { authorization: `Bearer ${credential}` } });
      socket.on('unexpected-response', (_request, response) => {
        let body = '';
        response
          .on('data', (chunk: Buffer) => (body += chunk.toString()))
          .on('end', () => {
            refused(response.statusCode ?? 0, body);
          });
      });
      return socket;
    };

  const NOBODY = '01890a5d-ac96-774b-bcce-b302099a8057';
  const cases: readonly [string, (own: string) => Partial<AttachOptions>, Record<string, unknown>][] = [
    [
      'a wrong token, as a message',
      () => ({ credential: `${alice}x` }),
      { closeCode: 4000, code: 'JWT_SIGNATURE_INVALID' },
    ],
    [
      'a wrong token, in a header',
      () => ({ openSocket: inHeader(`${alice}x`) }),
      { status: 401, code: 'JWT_SIGNATURE_INVALID' },
    ],
    [
      'an expired token',
      () => ({ credential: token({ iat: 1_700_000_000, exp: 1_700_000_600 }) }),
      { closeCode: 4001, code: 'JWT_EXPIRED' },
    ],
    [
      'somebody else’s session',
      () => ({ credential: token({ sub: 'mallory' }) }),
      { closeCode: 4004, code: 'NOT_FOUND' },
    ],
    ['a session that never was', () => ({ session: NOBODY }), { closeCode: 4004, code: 'NOT_FOUND' }],
    ['a token that is not for looking', () => ({ credential: token({ scope: 'pty:create' }) }), { reason: 'refused' }],
  ];
  it.each(cases)('%s ends it with a typed error, and is not tried again', async (_what, options, error) => {
    const own = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const refusedPage = page(own, options(own));
    const end = await refusedPage.ended();
    if (end.kind !== 'failed') throw new Error(end.kind);
    expect(end.error).toBeInstanceOf(AttachError);
    expect(end.error).toMatchObject({ reason: 'refused', ...error });
    expect(end.error.message).not.toContain(alice);
    expect([refusedPage.losses, refusedPage.attached]).toEqual([0, 0]);
  });

  it('a permission that is taken back while it is open ends it', async () => {
    const own = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const jti = 'to-be-revoked';
    const open = page(own, { credential: token({ jti }) });
    await until('attached', () => open.attached === 1);
    expect((await rest(gateway, admin, 'POST', '/api/v1/auth/revocations', { jti })).status).toBe(201);
    const end = await open.ended();
    expect(end).toMatchObject({
      kind: 'failed',
      error: { reason: 'refused', closeCode: 4001, code: 'TOKEN_REVOKED' },
    });
  });
});
