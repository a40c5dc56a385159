import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { forged, makeKey } from '../support/api-keys.js';
import { ATTEMPTS, BEHIND_PROXY, byMessage, overRest } from '../support/attempts.js';
import { PRODUCT_LIMITS, SECRET, TestGateway, token } from '../support/gateway.js';
import { rest } from '../support/rest.js';
import { scrape } from '../support/scrape.js';

const WRONG = 'another-secret-that-is-long-enough-0123456789';
const ago = Math.floor(Date.now() / 1000) - 3600;

describe('who fails to authenticate again and again', () => {
  let gateway: TestGateway;
  let last = 0;
  const newcomer = (): string => `198.51.100.${(last += 1)}`;
  /** A key that has the id of another, and a secret that nobody has. */
  const wrongSecret = (key: string, guess = '0000'): string => forged(key, (body) => `${body.slice(0, -4)}${guess}`);
  const fail = async (credential: string, address: string, times = 5): Promise<(string | null)[]> => {
    const codes: (string | null)[] = [];
    for (let each = 0; each < times; each += 1) codes.push((await overRest(gateway, credential, address)).code);
    return codes;
  };
  const lockouts = (): Promise<Record<string, unknown>[]> =>
    gateway.query(`SELECT * FROM audit_trail WHERE action = 'rate_limit.lockout' ORDER BY timestamp, id`);

  beforeAll(async () => {
    // Fifty failures of one address would meet the limit of strangers before.
    const room = { RATE_LIMIT_STRANGER_PER_MINUTE: '1000000', RATE_LIMIT_STRANGER_BURST: '1000' };
    gateway = await TestGateway.start({ ...PRODUCT_LIMITS, ...BEHIND_PROXY, ...room });
  });
  afterAll(() => gateway.remove());

  it.each(ATTEMPTS)(
    'is locked out after five times over %s, for five minutes, on every transport',
    async (_, attempt) => {
      const address = newcomer();
      const bad = token({ sub: 'mallory' }, WRONG);
      for (let each = 0; each < 5; each += 1)
        expect((await attempt(gateway, bad, address)).code).toBe('JWT_SIGNATURE_INVALID');
      for (const [, again] of ATTEMPTS) {
        const { code, retryAfter } = await again(gateway, bad, address);
        expect(code).toBe('RATE_LIMIT_EXCEEDED');
        expect(retryAfter).toBeGreaterThan(280);
        expect(retryAfter).toBeLessThanOrEqual(300);
      }
      expect(await byMessage(gateway, bad, address)).toBe('RATE_LIMIT_EXCEEDED');
      // Another name is another matter, and so is another address.
      expect((await attempt(gateway, token({ sub: 'trudy' }, WRONG), address)).code).toBe('JWT_SIGNATURE_INVALID');
      expect((await attempt(gateway, bad, newcomer())).code).toBe('JWT_SIGNATURE_INVALID');
    },
  );

  it('by first messages of connections, too', async () => {
    const address = newcomer();
    for (let each = 0; each < 5; each += 1) expect(await byMessage(gateway, 'nonsense', address)).toBe('JWT_INVALID');
    expect(await byMessage(gateway, 'other nonsense', address)).toBe('RATE_LIMIT_EXCEEDED');
    expect((await overRest(gateway, 'gh_ticket_x', address)).code).toBe('RATE_LIMIT_EXCEEDED');
  });

  it('locks out nobody whose key they name: neither elsewhere, nor the holder at the same address', async () => {
    const { key } = await makeKey(gateway, gateway.adminKey, { roles: ['user'] });
    const [attacker, home] = [newcomer(), newcomer()];
    // It is known here from its first use.
    expect((await overRest(gateway, key, home)).code).toBeNull();
    expect(await fail(wrongSecret(key), attacker)).toEqual(Array(5).fill('API_KEY_INVALID'));
    expect((await overRest(gateway, wrongSecret(key), attacker)).code).toBe('RATE_LIMIT_EXCEEDED');
    for (const [, attempt] of ATTEMPTS) {
      expect((await attempt(gateway, key, home)).code).toBeNull();
      expect((await attempt(gateway, key, attacker)).code).toBeNull();
    }
    expect((await overRest(gateway, wrongSecret(key), home)).code).toBe('API_KEY_INVALID');
  });

  it('fifty times, whatever they name, finds the whole address closed, and no bcrypt is spent on it', async () => {
    const address = newcomer();
    const [known, fresh] = [
      await makeKey(gateway, gateway.adminKey, { roles: ['user'] }),
      await makeKey(gateway, gateway.adminKey, { roles: ['user'] }),
    ];
    expect((await overRest(gateway, known.key, address)).code).toBeNull();
    const codes = await Promise.all(
      Array.from({ length: 50 }, async (_, name) =>
        overRest(gateway, token({ sub: `guess ${String(name)}` }, WRONG), address),
      ),
    );
    expect(new Set(codes.map(({ code }) => code))).toEqual(new Set(['JWT_SIGNATURE_INVALID']));
    const before = await scrape(gateway, gateway.adminKey);
    const guesses = Array.from({ length: 30 }, (_, guess) => wrongSecret(known.key, String(1000 + guess)));
    const unknown = guesses.map((key) => forged(key, (body) => body.replace(/_\w{16}_/, '_0000000000000000_')));
    for (const guess of [...guesses, ...unknown, token({ sub: 'one more' }, WRONG), 'nonsense']) {
      const { code, retryAfter } = await overRest(gateway, guess, address);
      expect([code, (retryAfter ?? 0) > 200]).toEqual(['RATE_LIMIT_EXCEEDED', true]);
    }
    // What needs no bcrypt is let in; a key that was never used here needs one, which it gets elsewhere.
    expect((await overRest(gateway, token({ sub: 'colleague' }), address)).code).toBeNull();
    expect((await overRest(gateway, known.key, address)).code).toBeNull();
    expect((await overRest(gateway, fresh.key, address)).code).toBe('RATE_LIMIT_EXCEEDED');
    const after = await scrape(gateway, gateway.adminKey);
    const bcrypts = { path: 'bcrypt' };
    expect(after.of('api_key_verifications_total', bcrypts)).toBe(before.of('api_key_verifications_total', bcrypts));
    expect((await overRest(gateway, fresh.key, newcomer())).code).toBeNull();
    expect((await overRest(gateway, fresh.key, address)).code).toBeNull();
    expect(after.of('rate_limit_lockouts_active')).toBeGreaterThan(0);
  });

  it('is not who comes with what has expired, or without anything', async () => {
    const address = newcomer();
    const expired = token({ sub: 'late', iat: ago, exp: ago + 60 });
    expect(await fail(expired, address, 8)).toEqual(Array(8).fill('JWT_EXPIRED'));
    expect((await overRest(gateway, token({ sub: 'late' }, WRONG), address)).code).toBe('JWT_SIGNATURE_INVALID');
    for (let each = 0; each < 8; each += 1)
      expect((await overRest(gateway, null, address)).code).toBe('AUTH_TOKEN_MISSING');
    // The clock says so only of a token that is ours.
    expect(await fail(token({ sub: 'later', iat: ago, exp: ago + 60 }, WRONG), address, 6)).toEqual([
      ...Array<string>(5).fill('JWT_SIGNATURE_INVALID'),
      'RATE_LIMIT_EXCEEDED',
    ]);
  });

  const ticketOf = async (holder: string): Promise<string> =>
    String((await rest(gateway, holder, 'POST', '/api/v1/auth/ws-ticket')).body['ticket']);

  it('keeps no page out that has a ticket, however many were made up behind the same address', async () => {
    const address = newcomer();
    const madeUp = (each: number): string => `gh_ticket_${String(each).padStart(43, 'a')}`;
    for (let each = 0; each < 50; each += 1)
      await overRest(gateway, token({ sub: `g ${String(each)}` }, WRONG), address);
    const guesses = Array.from({ length: 40 }, (_, each) => byMessage(gateway, madeUp(each), address));
    expect(new Set(await Promise.all(guesses))).toEqual(new Set(['RATE_LIMIT_EXCEEDED']));
    expect(await byMessage(gateway, await ticketOf(token({ sub: 'colleague' })), address)).toBeNull();
  });

  it('is not who comes again with a ticket that was used', async () => {
    const address = newcomer();
    const ticket = await ticketOf(token({ sub: 'reloader' }));
    expect(await byMessage(gateway, ticket, address)).toBeNull();
    for (let each = 0; each < 8; each += 1) expect(await byMessage(gateway, ticket, address)).toBe('TOKEN_REPLAYED');
    expect(await byMessage(gateway, 'nonsense', address)).toBe('JWT_INVALID');
  });

  it('is one stranger on record, from however many addresses of one network of IPv6', async () => {
    for (let each = 1; each <= 20; each += 1)
      await overRest(gateway, token({ sub: `v6 ${String(each)}` }, WRONG), `2001:db8:7::${String(each)}`);
    await gateway.audit({ action: 'auth.invalid_signature', remote_addr: '2001:db8:7::1' });
    expect((await overRest(gateway, gateway.adminKey, newcomer())).code).toBeNull();
    const rows = await gateway.query(`SELECT 1 FROM audit_trail WHERE remote_addr LIKE '2001:db8:7:%'`);
    expect(rows).toHaveLength(1);
  });

  it('is on record once for each lockout, with nothing of what they sent', async () => {
    const address = newcomer();
    const sent = token({ sub: 'what-they-sent' }, WRONG);
    await fail(sent, address, 20);
    await gateway.audit({ action: 'rate_limit.lockout', remote_addr: address });
    const rows = (await lockouts()).filter((row) => row['remote_addr'] === address);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({
      ...{ user_id: 'unknown', transport: 'rest', success: false, reason: 'RATE_LIMIT_EXCEEDED' },
      metadata: { of: 'subject', seconds: 300 },
    });
    for (const secret of ['what-they-sent', sent, SECRET])
      expect(JSON.stringify(await lockouts())).not.toContain(secret);
    expect(gateway.log.some((line) => JSON.stringify(line).includes('what-they-sent'))).toBe(false);
  });

  it('is over with the gateway that kept it, and that is on record, too', async () => {
    const ended = (): Promise<unknown[]> =>
      gateway.query(`SELECT 1 FROM audit_trail WHERE action = 'rate_limit.lockout_ended'`);
    const began = (await lockouts()).length;
    expect(began).toBeGreaterThan(0);
    await gateway.end();
    expect(await ended()).toHaveLength(began);
    await gateway.launch();
  });
});
