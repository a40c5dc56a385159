import '../support/nest-first.js';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type LiveStream, LiveStreams } from '../../src/authorization/live-streams.js';
import type { PolicyState } from '../../src/authorization/policy-state.js';
import type { SecurityFeed } from '../../src/database/security-feed.js';
import type { AuditFact, AuditTrail } from '../../src/kernel/audit.js';
import { DomainError } from '../../src/kernel/errors.js';
import type { Principal } from '../../src/kernel/principal.js';
import { type CallerContext, type LiveCredential, systemContext } from '../../src/kernel/request-context.js';
import { until } from '../support/gateway.js';

const named = (subject: string) => ({ subject }) as Principal;

describe('open streams', () => {
  let streams: LiveStreams;
  let noted: AuditFact[];
  let asked: number;
  let rechecked: number;
  let ends: DomainError[];
  let answer: PromiseWithResolvers<Principal>;
  let stream: LiveStream;
  const credentialOf = (revalidate: LiveCredential['revalidate']): LiveCredential => ({
    ...{ derived: false, parent: null, graceUntil: null, revalidate },
  });

  beforeEach(() => {
    [noted, ends, asked, rechecked] = [[], [], 0, 0];
    answer = Promise.withResolvers();
    const audit = { note: (_context: unknown, fact: AuditFact) => noted.push(fact) } as unknown as AuditTrail;
    const quiet = { onApplied: () => undefined, onChange: () => undefined };
    streams = new LiveStreams(quiet as unknown as SecurityFeed, quiet as unknown as PolicyState, audit);
    const credential = credentialOf(() => {
      asked += 1;
      return answer.promise;
    });
    const context: CallerContext = { ...systemContext(), principal: named('before'), credential };
    stream = { context, recheck: () => (rechecked += 1), end: (error) => ends.push(error) };
    streams.add(stream);
  });
  afterEach(() => {
    streams.onModuleDestroy();
  });

  it('renewed while its old credential is asked about, a stream keeps what the new one gave it', async () => {
    await until('the question', () => asked === 1);
    stream.context.principal = named('renewed');
    stream.context.credential = credentialOf(() => named('renewed'));
    streams.recheckSoon();
    answer.reject(new DomainError('TOKEN_REVOKED', 'The token was revoked.'));
    await until('the next decision', () => rechecked === 1);
    expect([stream.context.principal.subject, ends, noted]).toEqual(['renewed', [], []]);
  });

  it('is decided on once at a time, however often that is asked for, and once more afterwards', async () => {
    for (let n = 1; n <= 3; n += 1) {
      streams.recheckSoon();
      await new Promise(setImmediate);
    }
    expect(asked).toBe(1);
    answer.resolve(named('now'));
    await until('the decision after', () => rechecked === 2);
    expect([asked, stream.context.principal.subject]).toEqual([2, 'now']);
  });

  it('is ended once, and why is on record', async () => {
    await until('the question', () => asked === 1);
    answer.reject(new DomainError('JWT_EXPIRED', 'over', { reason: 'exp' }));
    await until('the end', () => ends.length === 1);
    streams.recheckSoon();
    await new Promise(setImmediate);
    expect([asked, ends.map(({ code }) => code)]).toEqual([1, ['SESSION_EXPIRED']]);
    expect(noted).toEqual([
      expect.objectContaining({
        ...{ action: 'authz.downgraded', success: false, reason: 'SESSION_EXPIRED' },
        metadata: { to: 'ended', detail: 'exp' },
      }),
    ]);
  });
});
