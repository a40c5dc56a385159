import '../support/nest-first.js';
import { describe, expect, it } from '@jest/globals';
import type { Resource } from '../../src/authorization/policy.js';
import type { ChangeFeed, ChangeHearer } from '../../src/database/change-feed.js';
import type { Principal } from '../../src/kernel/principal.js';
import type { WsConnection } from '../../src/transport/ws-connection.js';
import { MAX_UNTOLD, SocketWatch } from '../../src/watch/socket-watch.js';
import { MAX_UNSEEN, Watches } from '../../src/watch/watches.js';
import { MAX_AT_STAKE, stakeOf } from '../../src/worktree/at-stake.js';
import { authorOf } from '../../src/worktree/author.js';
import { isRefName } from '../../src/worktree/ref-name.js';
import { tenantFolder } from '../../src/worktree/worktree-creation.service.js';

const resource = { kind: 'worktree', id: 'w', tenant: 't', ownerProvider: 'p', ownerSubject: 's', shares: [] };
const watched = (number: number) => ({ resource, message: { number } });
const quiet = { warn: () => undefined } as never;

/** A connection whose client reads when it is told to. */
function connection() {
  const sent: object[] = [];
  let reading = true;
  let goOn = Promise.withResolvers<undefined>();
  return {
    sent,
    open: true,
    send: (message: object) => void sent.push(message),
    room: () => (reading ? null : goOn.promise),
    stop: () => (reading = false),
    read: () => {
      reading = true;
      goOn.resolve(undefined);
      goOn = Promise.withResolvers();
    },
    context: { principal: {} as Principal },
    socket: { once: () => undefined },
  };
}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the name of a ref', () => {
  it.each(['main', 'feature/x', 'v1.0', 'HEAD', 'refs/heads/main', 'ünïcode', 'a'.repeat(255), 'x@y', '0123abc'])(
    'may be %s',
    (name) => {
      expect(isRefName(name)).toBe(true);
    },
  );
  it.each([
    ...['', '@', '-x', '--all', '.x', 'x.', '/x', 'x/', 'a//b', 'a/.b', 'a..b', 'a b', 'a~1', 'a^', 'a:b', 'a?', 'a*'],
    ...['a[', 'a\\b', 'a@{1}', 'a.lock', 'a.lock/b', 'a\nb', 'a\u007fb', 'a'.repeat(256), '\ud800'],
  ])('may not be %j', (name) => {
    expect(isRefName(name)).toBe(false);
  });
});

describe('the author of a commit', () => {
  const of = (principal: Partial<Principal>): string => {
    const { name, email } = authorOf({ subject: 'alice', tenant: 'acme', ...principal } as Principal);
    return `${name} <${email}>`;
  };
  it.each([
    [{}, 'alice <alice@acme.gatehouse.invalid>'],
    [{ displayName: 'Alice Ä', email: 'a@b.example' }, 'Alice Ä <a@b.example>'],
    [
      { displayName: 'Eve <root@x>\nCo-authored-by: Bob' },
      'Eve root@xCo-authored-by: Bob <alice@acme.gatehouse.invalid>',
    ],
    [{ email: 'a@b> evil <c@d' }, 'alice <alice@acme.gatehouse.invalid>'],
    [{ displayName: ' .,; ', subject: '<>' }, 'unknown <--@acme.gatehouse.invalid>'],
    [{ subject: 'auth0|42', tenant: 'Big Corp' }, 'auth0|42 <auth0-42@Big-Corp.gatehouse.invalid>'],
  ])('of %j', (principal, author) => {
    expect(of(principal)).toBe(author);
  });
});

it('two tenants never have the same folder, and none leads elsewhere', () => {
  const tenants = [
    'acme',
    'Acme',
    'ACME',
    'ac-me',
    'ac me',
    't-acme',
    '../etc',
    '..',
    '',
    'x'.repeat(500),
    tenantFolder('Acme'),
  ];
  const folders = tenants.map(tenantFolder);
  expect(new Set(folders).size).toBe(tenants.length);
  for (const folder of folders) expect(folder).toMatch(/^[a-z0-9-]{1,64}$/);
  expect(folders[0]).toBe('acme');
});

it('a refusal names a hundred things at most, and says that there are more', () => {
  const answer = { at_stake: Array.from({ length: MAX_AT_STAKE }, (_, n) => ({ kind: 'untracked', what: String(n) })) };
  expect(stakeOf([], answer)).toMatchObject({ truncated: false });
  const { items, truncated } = stakeOf(['session'], answer);
  expect([items.length, items[0], truncated]).toEqual([MAX_AT_STAKE, { kind: 'session', what: 'session' }, true]);
});

describe('what a watcher is told', () => {
  it('is the newest of each thing while the client does not read, and only what he may still see then', async () => {
    const client = connection();
    let sees = true;
    const watch = new SocketWatch(client, () => sees, { type: 'missed' });
    client.stop();
    for (const [id, number] of [
      ['a', 1],
      ['a', 2],
      ['b', 3],
      ['a', 4],
    ] as const)
      watch.tell(id, watched(number));
    expect(client.sent).toEqual([{ number: 1 }]);
    client.read();
    await turn();
    expect(client.sent).toEqual([{ number: 1 }, { number: 4 }, { number: 3 }]);
    client.stop();
    watch.tell('a', watched(5));
    watch.tell('b', watched(6));
    sees = false;
    client.read();
    await turn();
    expect(client.sent.slice(3)).toEqual([{ number: 5 }]);
  });

  it('is that he missed some, when more waited than are kept', async () => {
    const client = connection();
    const watch = new SocketWatch(client, () => true, { type: 'missed' });
    client.stop();
    watch.tell('first', watched(0));
    for (let number = 0; number <= MAX_UNTOLD; number += 1) watch.tell(String(number), watched(number));
    client.read();
    await turn();
    expect(client.sent).toEqual([{ number: 0 }, { type: 'missed' }]);
  });

  it('is looked up once for all who watch, and not at all for nobody', async () => {
    let hearer: ChangeHearer | undefined;
    const feed = { on: (_topic: string, hears: ChangeHearer) => (hearer = hears) } as unknown as ChangeFeed;
    const looked: string[] = [];
    const held = Promise.withResolvers<undefined>();
    const look = async (id: string): Promise<{ resource: Resource; message: object }> => {
      looked.push(id);
      await held.promise;
      return { resource, message: { id } };
    };
    const kind = { topic: 'worktree', permission: 'worktree:view', missed: 'missed', look } as const;
    const watches = new Watches(feed, { allows: () => true }, kind, quiet);
    hearer?.changed('nobody watches');
    const [one, two] = [connection(), connection()];
    for (const client of [one, two]) watches.watch(client as unknown as WsConnection);
    for (const id of ['a', 'b', 'b', 'b']) hearer?.changed(id);
    held.resolve(undefined);
    await turn();
    expect(looked).toEqual(['a', 'b']);
    expect([one.sent, two.sent]).toEqual([
      [{ id: 'a' }, { id: 'b' }],
      [{ id: 'a' }, { id: 'b' }],
    ]);
    watches.unwatch(one as unknown as WsConnection);
    hearer?.changed('c');
    await turn();
    expect([one.sent.length, two.sent.length]).toEqual([2, 3]);
  });

  it('is that he missed some, when more changed than can be looked up, or looking fails', async () => {
    let hearer: ChangeHearer | undefined;
    const feed = { on: (_topic: string, hears: ChangeHearer) => (hearer = hears) } as unknown as ChangeFeed;
    const held = Promise.withResolvers<never>();
    const kind = {
      topic: 'worktree',
      permission: 'worktree:view',
      missed: 'missed',
      look: () => held.promise,
    } as const;
    const watches = new Watches(feed, { allows: () => true }, kind, quiet);
    const client = connection();
    watches.watch(client as unknown as WsConnection);
    for (let number = 0; number <= MAX_UNSEEN + 1; number += 1) hearer?.changed(String(number));
    expect(client.sent).toEqual([{ type: 'missed' }]);
    held.reject(new Error('the database is away'));
    await turn();
    await turn();
    expect(client.sent.length).toBeGreaterThan(1);
  });
});
