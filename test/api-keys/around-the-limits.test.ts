import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { keys, makeKey, standing, use } from '../support/api-keys.js';
import { TestGateway, token } from '../support/gateway.js';
import { type Answer, rest } from '../support/rest.js';

const messageOf = ({ body }: Answer): string => String((body['error'] as { message?: string } | undefined)?.message);

describe('nobody gets around limits by keys that they make', () => {
  let gateway: TestGateway;
  const alice = token({ jti: 'alice' });
  const bob = token({ sub: 'bob', jti: 'bob' });

  beforeAll(async () => {
    gateway = await TestGateway.start();
    await standing(gateway, alice, 'alice');
    await standing(gateway, bob, 'bob');
  });
  afterAll(() => gateway.remove());

  it('a key with a limit of its own makes none, nor does its token, which would be limits beside it', async () => {
    const { key } = await makeKey(gateway, alice, { rate_limit_per_minute: 600 });
    const exchanged = await rest(gateway, key, 'POST', '/api/v1/auth/tokens', {});
    for (const credential of [key, String(exchanged.body['token'])]) {
      const answer = await keys(gateway, credential, 'POST', '', { name: 'more', rate_limit_per_minute: 1 });
      expect([answer.status, messageOf(answer)]).toEqual([403, expect.stringContaining('rate limit of its own')]);
    }
  });

  it('a key with a limit of its own rotates itself alone, and only without grace', async () => {
    const { id, key } = await makeKey(gateway, alice, { rate_limit_per_minute: 600 });
    const other = await makeKey(gateway, alice);
    for (const [which, grace_seconds] of [
      [id, 1],
      [other.id, 0],
    ] as const) {
      const answer = await keys(gateway, key, 'POST', `/${which}/rotate`, { grace_seconds });
      expect([answer.status, messageOf(answer)]).toEqual([403, expect.stringContaining('rate limit of its own')]);
    }
    const rotated = await keys(gateway, key, 'POST', `/${id}/rotate`, { grace_seconds: 0 });
    expect([rotated.status, rotated.body['rate_limit_per_minute']]).toEqual([201, 600]);
    expect(await use(gateway, key)).toEqual([401, 'API_KEY_INVALID']);
  });

  it('only who reaches others’ terminals gets into them by a key for somebody else', async () => {
    const scopes = ['api_key:*', 'pty:view', 'pty:kill', 'pty:view_any@abc'];
    const narrow = await makeKey(gateway, gateway.adminKey, { roles: ['admin'], scopes });
    const wanted = { name: 'into', owner: 'bob', roles: ['user'] };
    for (const [scope, lacking] of [
      ['pty:view', 'pty:view_any'],
      ['pty:kill', 'pty:kill_any'],
      ['pty:view@abcd', 'pty:view_any@abcd'],
    ]) {
      const answer = await keys(gateway, narrow.key, 'POST', '', { ...wanted, scopes: [scope] });
      expect([answer.status, messageOf(answer)]).toEqual([403, expect.stringContaining(`do: ${String(lacking)}.`)]);
    }
    // What it may do to others' by itself, and for its own owner, it may hand on.
    for (const fields of [
      { ...wanted, scopes: ['pty:view@abc', 'api_key:view'] },
      { name: 'own', scopes: ['pty:kill'] },
    ]) {
      expect((await keys(gateway, narrow.key, 'POST', '', fields)).status).toBe(201);
    }
  });

  it('a narrow key of an administrator does not take a successor of somebody else’s', async () => {
    const bobs = await makeKey(gateway, bob, { scopes: ['pty:kill'] });
    const scopes = ['api_key:*', 'pty:kill'];
    const narrow = await makeKey(gateway, gateway.adminKey, { roles: ['admin'], scopes });
    const answer = await keys(gateway, narrow.key, 'POST', `/${bobs.id}/rotate`, {});
    expect([answer.status, messageOf(answer)]).toEqual([403, expect.stringContaining('pty:kill_any')]);
    expect((await keys(gateway, gateway.adminKey, 'POST', `/${bobs.id}/rotate`, {})).status).toBe(201);
  });
});
