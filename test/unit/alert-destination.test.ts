import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Destination, MAX_QUEUED } from '../../src/audit/alerts/destination.js';
import { fixedSource, secretSource } from '../../src/audit/alerts/webhook-source.js';
import { DomainError } from '../../src/kernel/errors.js';
import type { Log } from '../../src/kernel/log.js';
import { SealBroken } from '../../src/sealing/envelope.js';
import { SealKeyMissing } from '../../src/sealing/keyring.js';
import { until } from '../support/gateway.js';
import { answer, WebhookReceiver } from '../support/webhook-receiver.js';

describe('a destination of alerts', () => {
  let receiver: WebhookReceiver;
  let destination: Destination;
  const lines: [string, object][] = [];
  const note = (fields: object, message: string): void => void lines.push([message, fields]);
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const to = (address: string): Destination => (destination = new Destination('default', fixedSource(address), log));
  const send = (text: string): void => {
    destination.send((lost) => ({ text: `${text}, lost ${lost}` }));
  };

  beforeEach(async () => {
    lines.splice(0);
    receiver = await WebhookReceiver.start();
    to(`${receiver.url}/services/secret-path`);
  });
  afterEach(async () => {
    destination.close();
    await receiver.stop();
  });

  it('gets JSON, one message after the other', async () => {
    for (const text of ['a', 'b', 'c']) send(text);
    await receiver.has('c');
    expect(receiver.texts).toEqual(['a, lost 0', 'b, lost 0', 'c, lost 0']);
    expect(receiver.received[0]).toMatchObject({ path: '/services/secret-path', contentType: 'application/json' });
    expect(lines).toEqual([]);
  });

  it('is not asked again before the time that it names', async () => {
    receiver.answers.push(answer(429, { 'retry-after': '3' }));
    send('patient');
    await receiver.has('patient', 2);
    const [first, second] = receiver.received;
    // Without the header it would be one and a half seconds at most.
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(2990);
  });

  it('is asked again after an error of its own, and that is told once', async () => {
    receiver.answers.push(answer(500), answer(503));
    send('again');
    await receiver.has('again', 3);
    await until('all is well', () => lines.length === 2);
    expect(lines).toEqual([
      ['alerts cannot be sent now', { destination: 'default', fault: 'status 500' }],
      ['alerts can be sent again', { destination: 'default' }],
    ]);
  });

  it('that cannot be reached gets its messages when it can', async () => {
    const port = Number(new URL(receiver.url).port);
    await receiver.stop();
    send('late');
    await until('the failure', () => lines.length === 1);
    expect(lines).toEqual([['alerts cannot be sent now', { destination: 'default', fault: 'unreachable' }]]);
    receiver = await WebhookReceiver.start(port);
    await receiver.has('late');
  });

  it.each([
    ['a redirect', answer(307, { location: '/elsewhere' }), 'status 307'],
    ['a refusal', answer(403), 'status 403'],
  ])('that answers with %s is not asked again, and the next message says so', async (_what, refused, fault) => {
    receiver.answers.push(refused);
    send('lost');
    send('next');
    expect(await receiver.has('next')).toEqual(['next, lost 1']);
    expect(receiver.received.map(({ path }) => path)).toEqual(['/services/secret-path', '/services/secret-path']);
    expect(lines[0]).toEqual(['alerts cannot be sent now', { destination: 'default', fault }]);
    send('then');
    expect(await receiver.has('then')).toEqual(['then, lost 0']);
  });

  describe('whose address is a stored secret', () => {
    const away = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
    const closed = new DomainError('SEALING_UNAVAILABLE', 'no key');
    /** What each question is answered with, an error for a failure; then with the address. */
    const named = (...answers: (string | Error | null)[]): Destination => {
      const read = (): Promise<string | null> => {
        const next = answers.shift();
        return next instanceof Error ? Promise.reject(next) : Promise.resolve(next === undefined ? '' : next);
      };
      return (destination = new Destination('team', secretSource('hook', read), log));
    };

    it.each([
      ['is not there', null, 'there is no secret called hook'],
      ['is no https address', 'http://127.0.0.1/secret-path', 'the secret called hook is no https address'],
      [
        'has a password in it',
        'https://me:secret-path@chat.example.com/',
        'the secret called hook is no https address',
      ],
      ['is under another master key', new SealKeyMissing('0123456789abcdef'), 'under the master key 0123456789abcdef'],
      ['was altered', new SealBroken(), 'the secret called hook was altered'],
      ['cannot be opened for want of a key', closed, 'there is no ENCRYPTION_MASTER_KEY'],
    ])('that %s loses its messages at once, and says why without the address', async (_what, found, fault) => {
      named(found);
      send('lost');
      await until('the failure', () => lines.length === 1);
      expect(lines[0]?.[1]).toMatchObject({ destination: 'team', fault: expect.stringContaining(fault) as unknown });
      expect([destination.figures, JSON.stringify(lines).includes('secret-path')]).toEqual([
        { sent: 0, lost: 1 },
        false,
      ]);
    });

    it('that cannot be read while PostgreSQL is away is asked for again', async () => {
      named(away, null);
      send('late');
      await until('the second answer', () => destination.figures.lost === 1);
      expect(lines).toEqual([
        [
          'alerts cannot be sent now',
          { destination: 'team', fault: 'the secret called hook cannot be read now: PostgreSQL is away' },
        ],
      ]);
    });
  });

  it('whose answer never ends is not read', async () => {
    receiver.answers.push((response) => {
      response.writeHead(200);
      const flood = (): void => {
        if (!response.destroyed) response.write('x'.repeat(65_536), flood);
      };
      flood();
    });
    send('endless');
    send('next');
    await receiver.has('next');
  });

  it('that never answers keeps a bounded number of messages waiting, and counts the others', async () => {
    receiver.answering = false;
    for (let index = 0; index < MAX_QUEUED + 11; index += 1) send(String(index));
    // One is under way.
    expect(destination.figures).toEqual({ sent: 0, lost: 10 });
    expect(lines).toEqual([['alerts cannot be sent now', { destination: 'default', fault: 'too many wait' }]]);
    await until('the first', () => receiver.received.length === 1);
    destination.close();
    await destination.idle(5000);
    expect(receiver.received).toHaveLength(1);
  });
});
