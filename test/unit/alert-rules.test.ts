import '../support/nest-first.js';
import { afterEach, describe, expect, it } from '@jest/globals';
import { alertFileSchema, type Rule } from '../../src/audit/alerts/alert-file.js';
import { messageOf } from '../../src/audit/alerts/alert-message.js';
import { Dormancy, MAX_QUESTIONS } from '../../src/audit/alerts/dormancy.js';
import { EventQueue, MAX_EVENTS } from '../../src/audit/alerts/event-queue.js';
import { type Alert, RuleState } from '../../src/audit/alerts/rule-state.js';
import { SlidingCounts } from '../../src/audit/alerts/sliding-counts.js';
import { YamlFile } from '../../src/config/yaml-file.js';
import { type AuditDraft, toDraft } from '../../src/audit/record/audit-event.js';
import type { TenantScope } from '../../src/database/tenant-scope.js';
import type { AuditFact } from '../../src/kernel/audit.js';
import { newId } from '../../src/kernel/ids.js';
import type { Log } from '../../src/kernel/log.js';
import type { Principal } from '../../src/kernel/principal.js';
import { type RequestContext, systemContext } from '../../src/kernel/request-context.js';
import { principal } from '../support/policy.js';

const NOON = 1_800_000_000_000;
const schema = alertFileSchema({
  AUDIT_RETENTION_DAYS: 400,
  webhooks: new Map([
    ['SLACK_WEBHOOK_URL', 'https://hooks.slack.com/services/T/B/x'],
    ['ALERT_WEBHOOK_SECURITY', 'https://chat.example.com/hooks/y'],
  ]),
});
const parsed = (content: object) => schema.safeParse(content);
const ruleOf = (fields: object): Rule => {
  const [rule] = schema.parse({ rules: [{ name: 'a-rule', ...fields }] }).rules;
  if (rule === undefined) throw new Error('no rule');
  return rule;
};

interface Made extends Partial<AuditFact> {
  readonly who?: Partial<Principal> | null;
  readonly address?: string;
  /** Seconds after noon. */
  readonly after?: number;
}

function draft({ who = null, address = '198.51.100.7', after = 0, ...fact }: Made = {}): AuditDraft {
  const context: RequestContext = {
    ...systemContext(),
    ...{ transport: 'rest', remoteAddress: address, userAgent: null },
    principal: who === null ? null : principal(who),
  };
  const micros = BigInt(NOON + after * 1000) * 1000n;
  return toDraft(newId(), micros, context, { action: 'auth.failed', resource: null, success: false, ...fact });
}

describe('an alert rule', () => {
  const states: RuleState[] = [];
  const made = (fields: object): { readonly state: RuleState; readonly alerts: Alert[] } => {
    const alerts: Alert[] = [];
    const state = new RuleState(ruleOf(fields), (alert) => alerts.push(alert));
    states.push(state);
    return { state, alerts };
  };
  afterEach(() => {
    for (const state of states.splice(0)) state.end();
  });
  const counting = { kind: 'count', actions: ['auth.failed'], at_least: 3, within_seconds: 60 };

  it('that counts is met at the number, by one address, within the window, and told once', () => {
    const { state, alerts } = made(counting);
    for (const after of [0, 100, 200]) state.take(draft({ after }));
    expect(alerts).toEqual([]);
    for (const address of ['198.51.100.8', '198.51.100.9']) state.take(draft({ after: 201, address }));
    expect(alerts).toEqual([]);
    for (const after of [210, 220, 230, 240]) state.take(draft({ after }));
    expect(alerts.map(({ count, further }) => [count, further])).toEqual([[3, null]]);
    // Three more met it: told with their number when the time is up, or nobody looks any more.
    state.end();
    expect(alerts.slice(1).map(({ further }) => further)).toEqual([2]);
  });

  it('that counts believes the number of what was repeated', () => {
    const { state, alerts } = made({ ...counting, at_least: 20 });
    state.take(draft());
    state.take(draft({ after: 59, metadata: { repeated: 19 } }));
    expect(alerts.map(({ count }) => count)).toEqual([20]);
  });

  it('that counts by user tells the same name of two providers and tenants apart', () => {
    const { state, alerts } = made({ ...counting, group_by: 'user', at_least: 2, actions: ['authz.denied'] });
    const denied = (who: Partial<Principal>): void => {
      state.take(draft({ action: 'authz.denied', who }));
    };
    for (const who of [{ provider: 'okta' }, { provider: 'auth0' }, { tenant: 'acme' }]) denied(who);
    expect(alerts).toEqual([]);
    denied({ tenant: 'acme' });
    expect(alerts.map(({ draft: { event } }) => event.tenant)).toEqual(['acme']);
  });

  it('that is met by any such event is told for each resource, and by nothing else', () => {
    const where = { success: true, metadata: { roles: 'admin' } };
    const { state, alerts } = made({ kind: 'any', actions: ['api_key.*'], where });
    const key = (id: string, roles: string[], fact: Partial<AuditFact> = {}): void => {
      state.take(draft({ action: 'api_key.create', resource: id, success: true, metadata: { roles }, ...fact }));
    };
    key('api_key:1', ['user']);
    key('api_key:2', ['user', 'admin'], { success: false });
    key('api_key:3', ['user', 'admin'], { action: 'pty.start' });
    key('api_key:4', ['user', 'admin']);
    key('api_key:4', ['user', 'admin']);
    key('api_key:5', ['admin']);
    expect(alerts.map(({ draft: { event } }) => event.resource)).toEqual(['api_key:4', 'api_key:5']);
  });

  it('about dormant accounts is met by the days that it names, and not by a count of uses', () => {
    const { state, alerts } = made({ kind: 'dormant', days: 30 });
    const use = draft({ action: 'auth.success', success: true, who: {} });
    state.takeIdle(use, 30 * 86_400_000 - 1);
    state.takeIdle(draft({ action: 'auth.success', who: {}, metadata: { repeated: 2 } }), 90 * 86_400_000);
    expect(alerts).toEqual([]);
    state.takeIdle(use, 30 * 86_400_000);
    expect(alerts.map(({ idleDays }) => idleDays)).toEqual([30]);
  });

  it('counts within a bounded memory: who was quiet longest is forgotten first', () => {
    const counts = new SlidingCounts(60_000, 2);
    counts.add('a', NOON, 5);
    counts.add('b', NOON, 5);
    expect(counts.add('a', NOON, 1)).toBe(6);
    counts.add('c', NOON, 1);
    expect([counts.add('a', NOON, 1), counts.add('b', NOON, 1)]).toEqual([7, 1]);
  });

  it('forgets what is older than its window, however long nothing came', () => {
    const counts = new SlidingCounts(60_000, 10);
    expect(counts.add('a', NOON, 4)).toBe(4);
    expect(counts.add('a', NOON + 59_000, 1)).toBe(5);
    expect(counts.add('a', NOON + 64_000, 1)).toBe(2);
    expect(counts.add('a', NOON + 3_600_000, 1)).toBe(1);
    // The clock was set back: it counts with the latest.
    expect(counts.add('a', NOON, 1)).toBe(2);
  });
});

describe('the message of an alert', () => {
  const text = (fact: Made, lost = 0, further: number | null = null): string => {
    const rule = ruleOf({ kind: 'any', actions: ['auth.failed'] });
    return messageOf({ rule, draft: draft(fact), count: null, idleDays: null, further }, 'node-1', lost).text;
  };

  it('forms no link, no mention and no line of its own', () => {
    const found = text({ resource: '<!channel> & <https://evil|ok>\n*Gatehouse alert*\u202e', address: 'a<b' });
    expect(found).toContain(
      'resource &lt;!channel&gt; &amp; &lt;https://evil|ok&gt; *Gatehouse alert* , transport rest',
    );
    expect(found).not.toMatch(/[<>\u202e]/);
    expect(found.split('\n')).toHaveLength(4);
  });

  it('has no secret in it', () => {
    const made = draft();
    const [jwt, key] = ['eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2VjcmV0', 'gh_live_0123456789abcdef_secretsecret'];
    const hook = 'https://hooks.slack.com/services/T000/B000/abcdefgh';
    const event = { ...made.event, resource: jwt, request_id: key, metadata: { note: hook, other: `token=${key}` } };
    const rule = ruleOf({ kind: 'any', actions: ['auth.failed'] });
    const alert = { rule, draft: { ...made, event }, count: null, idleDays: null, further: null };
    const message = messageOf(alert, 'node-1', 0).text;
    for (const secret of [jwt, 'secretsecret', 'abcdefgh', 'B000']) expect(message).not.toContain(secret);
  });

  it('is bounded, and says what was lost and repeated', () => {
    const metadata = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`f${index}`, '<'.repeat(70)]));
    const found = text({ metadata }, 7, 41);
    expect(found.length).toBeLessThan(3100);
    expect(found).toContain('Met 41 more times within 3600 s');
    expect(found).toContain('7 alerts before this one could not be sent.');
  });
});

describe('alerts.yaml', () => {
  const rule = { name: 'r', kind: 'any', actions: ['audit.gap'] };
  it('as it is shown is valid', () => {
    expect(new YamlFile('config/alerts.example.yaml', schema).value.rules).toHaveLength(7);
  });

  it.each([
    ['an unknown field', { ...rule, color: 'red' }, 'rules.0'],
    ['an unknown kind', { ...rule, kind: 'every' }, 'rules.0.kind'],
    ['an unknown action', { ...rule, actions: ['pty.explode'] }, 'rules.0.actions.0'],
    ['an unknown field of events', { ...rule, where: { colour: 'red' } }, 'rules.0.where'],
    ['a number as text', { ...rule, repeat_after_seconds: '60' }, 'rules.0.repeat_after_seconds'],
    ['an unknown destination', { ...rule, send_to: ['nowhere'] }, 'rules.0.send_to.0'],
    [
      'a window shorter than a count',
      { ...rule, kind: 'count', at_least: 2, within_seconds: 5 },
      'rules.0.within_seconds',
    ],
    ['more days than are kept', { name: 'r', kind: 'dormant', days: 401 }, 'rules.0.days'],
  ])('with %s is refused by its path', (_what, wrong, path) => {
    expect(parsed({ rules: [wrong] }).error?.issues.map((issue) => issue.path.join('.'))).toEqual([path]);
  });

  it('names webhooks by variables that are set, not by addresses', () => {
    const destinations = (webhook: string): string[] =>
      parsed({ destinations: { other: { webhook } }, rules: [{ ...rule, send_to: ['other'] }] }).error?.issues.map(
        ({ message }) => message,
      ) ?? [];
    expect(destinations('ALERT_WEBHOOK_SECURITY')).toEqual([]);
    expect(destinations('ALERT_WEBHOOK_UNSET')).toEqual(['ALERT_WEBHOOK_UNSET is not set']);
    for (const webhook of ['https://hooks.slack.com/services/T/B/secret', 'AUTH_SECRET']) {
      expect(destinations(webhook)).toHaveLength(1);
      expect(destinations(webhook)[0]).not.toContain(webhook);
    }
  });

  it('names stored secrets by name, beside a webhook of a variable and not with one', () => {
    const issues = (place: object): string[] | undefined =>
      parsed({ destinations: { other: place }, rules: [{ ...rule, send_to: ['other'] }] }).error?.issues.map(
        ({ path, message }) => `${path.join('.')}: ${message}`,
      );
    expect(issues({ secret: 'slack-security' })).toBeUndefined();
    const [wrong, ...others] = issues({ secret: 'https://hooks.slack.com/services/T/B/x' }) ?? [];
    expect([wrong, others]).toEqual([expect.stringMatching(/^destinations.other.secret: not the name/), []]);
    for (const place of [{ secret: 'a', webhook: 'SLACK_WEBHOOK_URL' }, {}, { secret: 5 }, { secret: 'a', x: 1 }])
      expect(issues(place)?.join()).toMatch(/^destinations.other/);
  });

  it('has at most twenty destinations', () => {
    const named = (count: number): object =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`d${index}`, { webhook: 'SLACK_WEBHOOK_URL' }]));
    expect(parsed({ destinations: named(20) }).success).toBe(true);
    expect(parsed({ destinations: named(21) }).error?.issues.map(({ path }) => path)).toEqual([['destinations']]);
  });

  it('has at most fifty rules, each with a name of its own', () => {
    const many = Array.from({ length: 51 }, (_, index) => ({ ...rule, name: `r${index}` }));
    expect(parsed({ rules: many.slice(1) }).success).toBe(true);
    expect(parsed({ rules: many }).success).toBe(false);
    expect(parsed({ rules: [rule, rule] }).error?.issues.map(({ path }) => path)).toEqual([['rules', 1, 'name']]);
  });
});

describe('how long an account was not seen', () => {
  const DAY = 86_400_000;
  const use = (subject: string, after = 0): AuditDraft =>
    draft({ action: 'auth.success', success: true, who: { subject }, after });
  /** @param find what the table says, if it says anything */
  const asking = (find: () => Promise<{ last: Date | null }[]>) => {
    const [idle, failures]: [number[], unknown[]] = [[], []];
    const dormancy = new Dormancy({
      within: () => find(),
      system: () => Promise.reject(new Error('asks on behalf of one tenant')),
    } as unknown as TenantScope);
    const answers = { answer: (ms: number) => idle.push(ms), failed: (error: unknown) => failures.push(error) };
    const ask = (each: AuditDraft): boolean => dormancy.ask(each, 30 * DAY, answers);
    return { ask, idle, failures };
  };
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('is asked of the table once, and answered where it is long enough', async () => {
    let looks = 0;
    const { ask, idle } = asking(() => Promise.resolve([{ last: new Date(NOON - (30 + looks++) * DAY) }]));
    for (const after of [0, 60, 120]) {
      ask(use('ann', after));
      await turn();
    }
    expect([idle, looks]).toEqual([[30 * DAY], 1]);
    ask(use('bob'));
    await turn();
    expect([idle[1], looks]).toEqual([31 * DAY, 2]);
  });

  it('is nothing for who is new, and asked again after a failure', async () => {
    const found = [() => Promise.reject(new Error('away')), () => Promise.resolve([{ last: null }])];
    const { ask, idle, failures } = asking(() => (found.shift() ?? (() => Promise.resolve([])))());
    ask(use('ann'));
    await turn();
    ask(use('ann', 60));
    await turn();
    expect([idle, failures.length, found.length]).toEqual([[], 1, 0]);
  });

  it('is asked for a bounded number of accounts at once', () => {
    const { ask } = asking(() => new Promise(() => undefined));
    // One is under way.
    for (let index = 0; index <= MAX_QUESTIONS; index += 1) expect(ask(use(`u${index}`))).toBe(true);
    expect(ask(use('one more'))).toBe(false);
  });
});

describe('the queue between the writer and the rules', () => {
  const lines: string[] = [];
  const note = (_fields: object, message: string): void => void lines.push(message);
  const log: Log = { debug: note, info: note, warn: note, error: note };
  afterEach(() => void lines.splice(0));

  it('is bounded, and counts what it does not take', async () => {
    const taken: AuditDraft[] = [];
    const queue = new EventQueue((each) => taken.push(each), log);
    const one = draft();
    for (let index = 0; index < MAX_EVENTS + 5; index += 1) queue.push(one);
    expect([taken.length, queue.figures.dropped, lines.length]).toEqual([0, 5, 1]);
    await queue.idle();
    expect(taken).toHaveLength(MAX_EVENTS);
  });

  it('goes on after an event that breaks a rule', async () => {
    const taken: AuditDraft[] = [];
    const queue = new EventQueue((each) => {
      taken.push(each);
      if (taken.length === 1) throw new Error('broken');
    }, log);
    for (let index = 0; index < 3; index += 1) queue.push(draft());
    await queue.idle();
    expect([taken.length, queue.figures.failed, lines.length]).toEqual([3, 1, 1]);
  });
});
