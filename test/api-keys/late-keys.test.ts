import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { keys, makeKey, standing } from '../support/api-keys.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { type Answer, codeOf, rest } from '../support/rest.js';

const CALLS = 40;

describe('a credential that was revoked makes no keys any more', () => {
  let gateway: TestGateway;
  const alice = token({ jti: 'alice' });

  beforeAll(async () => {
    gateway = await TestGateway.start();
    await standing(gateway, alice, 'alice');
  });
  afterAll(() => gateway.remove());

  const stored = async (name: string): Promise<number> =>
    Number((await gateway.query('SELECT count(*) FROM api_keys WHERE name = $1', [name]))[0]?.['count']);
  /** Many calls that wait for bcrypt, of which the first is done. */
  async function inFlight(name: string, credential: string): Promise<Promise<Answer>[]> {
    const calls = Array.from({ length: CALLS }, () => keys(gateway, credential, 'POST', '', { name }));
    await until('the first of them', async () => (await stored(name)) > 0);
    return calls;
  }
  const codes = (answers: readonly Answer[]): unknown[] =>
    answers.filter(({ status }) => status !== 201).map((answer) => codeOf(answer));

  it.each<[string, (key: string) => Promise<string>]>([
    ['a key', (key) => Promise.resolve(key)],
    [
      'a token of a key',
      async (key) => String((await rest(gateway, key, 'POST', '/api/v1/auth/tokens', {})).body['token']),
    ],
  ])('%s, not even those that were under way when its revocation was answered', async (what, credentialOf) => {
    const name = `made by ${what}`;
    const maker = await makeKey(gateway, alice);
    const credential = await credentialOf(maker.key);
    const calls = await inFlight(name, credential);
    expect((await keys(gateway, alice, 'DELETE', `/${maker.id}`, {})).status).toBe(200);
    const atTheAnswer = await stored(name);
    const refused = codes(await Promise.all(calls));
    expect(await stored(name)).toBe(atTheAnswer);
    expect([refused.length, new Set(refused)]).toEqual([CALLS - atTheAnswer, new Set(['API_KEY_INVALID'])]);
    expect(refused.length).toBeGreaterThan(0);
  });

  it('a key, by rotating others either', async () => {
    const name = 'to be rotated';
    const maker = await makeKey(gateway, alice);
    const old = await Promise.all(Array.from({ length: CALLS }, () => makeKey(gateway, alice, { name })));
    const rotated = async (): Promise<number> =>
      Number((await gateway.query(`SELECT count(*) FROM api_keys WHERE rotated_to IS NOT NULL`))[0]?.['count']);
    const calls = old.map(({ id }) => keys(gateway, maker.key, 'POST', `/${id}/rotate`, {}));
    await until('the first of them', async () => (await rotated()) > 0);
    expect((await keys(gateway, alice, 'DELETE', `/${maker.id}`, {})).status).toBe(200);
    const atTheAnswer = await rotated();
    const refused = codes(await Promise.all(calls));
    expect(await rotated()).toBe(atTheAnswer);
    expect(refused).toEqual(Array(CALLS - atTheAnswer).fill('API_KEY_INVALID'));
    expect(refused.length).toBeGreaterThan(0);
  });

  it('a user’s token', async () => {
    const name = 'made by a token';
    const credential = token({ jti: 'taken back' });
    const calls = await inFlight(name, credential);
    const revoked = await rest(gateway, credential, 'POST', '/api/v1/auth/revocations', { jti: 'taken back' });
    expect(revoked.status).toBe(201);
    expect(codes(await Promise.all(calls))).toContain('TOKEN_REVOKED');
  });
});
