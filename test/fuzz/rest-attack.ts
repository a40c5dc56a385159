import { request as open } from 'node:http';
import type { TestGateway } from '../support/gateway.js';
import { hostileJson, TEXTS } from './hostile-values.js';
import type { Chance } from './random.js';
import type { Surface } from './surface.js';

/** A request as it goes over the wire. */
export interface RestAttack {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string | undefined;
}

const ANSWER_MS = 20_000;

/** One request to a route of the surface: a path, a query and a body that nobody meant. */
export function restAttack(chance: Chance, { routes, fields }: Surface, ids: readonly string[]): RestAttack {
  const route = chance.pick(routes);
  const path = route.path.replace(/:\w+/g, () => encodeURIComponent(chance.pick(chance.happens(0.7) ? ids : sound)));
  const query = Array.from(
    { length: chance.below(4) },
    () => `${chance.pick(fields)}=${encodeURIComponent(chance.pick(sound))}`,
  );
  // A wait for the end of a session that goes on is answered late, as it was asked to be.
  if (route.path.endsWith('/wait')) query.push('timeout_seconds=1');
  const bare = route.method === 'GET' || chance.happens(0.1);
  return {
    method: route.method,
    path: `${path}${query.length === 0 ? '' : `?${query.join('&')}`}`.slice(0, 12_000),
    headers: { ...chance.pick(HEADERS) },
    body: bare ? undefined : hostileJson(chance, fields, ids),
  };
}

/** Text that can be encoded for an address: half a character cannot. */
const sound = TEXTS.filter((text) => text.isWellFormed());

const HEADERS: readonly Record<string, string>[] = [
  ...Array.from({ length: 12 }, () => ({ 'content-type': 'application/json' })),
  { 'content-type': 'text/plain' },
  { 'content-type': 'application/json; charset=utf-16' },
  { 'content-type': 'application/x-www-form-urlencoded' },
  { 'content-type': 'multipart/form-data; boundary=x' },
  { 'content-type': '' },
  { 'content-type': 'application/json', 'content-encoding': 'gzip' },
  { 'content-type': 'application/json', 'x-request-id': 'x'.repeat(4000) },
  { 'content-type': 'application/json', 'idempotency-key': '\u00ff'.repeat(300) },
  { 'content-type': 'application/json', accept: 'text/event-stream', 'last-event-id': '-1' },
  { 'content-type': 'application/json', 'x-forwarded-for': '1.1.1.1, '.repeat(300) },
  { 'content-type': 'application/json', traceparent: '00-zz-zz-zz' },
];

/** The status of the answer; its body is read up to a bound, for a stream has no end. @throws Error when none comes */
export function sendRest(gateway: TestGateway, credential: string, attack: RestAttack): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = open({
      ...{ host: '127.0.0.1', port: gateway.httpPort, method: attack.method, path: attack.path },
      ...{ headers: { authorization: `Bearer ${credential}`, ...attack.headers }, timeout: ANSWER_MS },
    });
    sent.on('response', (response) => {
      resolve(response.statusCode ?? 0);
      response.on('error', () => undefined);
      response.destroy();
    });
    sent.on('timeout', () => {
      sent.destroy(new Error(`no answer: ${JSON.stringify(attack).slice(0, 500)}`));
    });
    // An answer that comes before the body was sent may close the connection: then the status is what counts.
    sent.on('error', reject);
    sent.end(attack.body);
  });
}
