import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { loadConfig } from '../../src/config/load.js';
import { Site } from '../../src/transport/site/site.js';

const siteOf = (environment: Record<string, string>): Site =>
  new Site(loadConfig({ NODE_ENV: 'test', ...environment }));

/** A request with these headers, as Node gives it. */
const request = (headers: readonly (readonly [string, string])[], method = 'GET'): IncomingMessage =>
  ({
    ...{ method, httpVersion: '1.1', rawHeaders: headers.flat() },
    headers: Object.fromEntries(headers),
  }) as unknown as IncomingMessage;

/** The code of what is thrown; null: nothing was. */
function codeOf(work: () => unknown): string | null {
  try {
    work();
    return null;
  } catch (error) {
    return (error as { code: string }).code;
  }
}
const host = (site: Site, ...hosts: string[]): string | null =>
  codeOf(() => {
    site.requireHost(request(hosts.map((name) => ['host', name] as const)));
  });
const origin = (site: Site, name: string, at = '127.0.0.1:8080'): string | null =>
  codeOf(() => {
    site.requireOrigin(
      request([
        ['host', at],
        ['origin', name],
      ]),
    );
  });

const [NAME, ORIGIN] = ['HOST_NOT_ALLOWED', 'ORIGIN_NOT_ALLOWED'];

describe('the names of a server that listens on', () => {
  it.each([
    ['this machine only', {}, 'localhost:8080', null],
    ['this machine only', {}, 'LOCALHOST', null],
    ['this machine only', {}, '127.0.0.1:8080', null],
    ['this machine only', {}, '[::1]:8080', null],
    ['this machine only', {}, 'evil.example.com', NAME],
    ['this machine only', {}, 'localhost.evil.example.com', NAME],
    ['this machine only', {}, '127.0.0.1.evil.example.com:8080', NAME],
    ['this machine only', {}, 'evil.example.com@localhost', NAME],
    ['this machine only', {}, 'localhost:8080:1', NAME],
    ['this machine only', {}, 'localhost/x', NAME],
    ['this machine only', {}, '2130706433', NAME],
    ['this machine only', {}, '0.0.0.0', NAME],
    ['this machine only', {}, '', NAME],
    ['this machine only, with a name', { ALLOWED_HOSTS: 'Term.Example.com, fd00::7' }, 'term.example.com:443', null],
    ['this machine only, with a name', { ALLOWED_HOSTS: 'term.example.com, fd00::7' }, '[fd00::7]', null],
    ['this machine only, with a name', { ALLOWED_HOSTS: 'term.example.com' }, 'x.term.example.com', NAME],
    ['another address of this machine', { HOST: '127.0.0.9' }, '127.0.0.9:1', null],
    ['IPv6', { HOST: '::1' }, 'evil.example.com', NAME],
    ['a name', { HOST: 'term.example.com' }, 'term.example.com', null],
    ['a name', { HOST: 'term.example.com' }, 'evil.example.com', NAME],
    ['all networks', { HOST: '0.0.0.0' }, 'whatever.example.com', null],
    ['all networks, with a name', { HOST: '0.0.0.0', ALLOWED_HOSTS: 'term.example.com' }, 'evil.example.com', NAME],
  ])('%s: %j, called %s', (_what, environment, name, expected) => {
    expect(host(siteOf(environment), name)).toBe(expected);
  });

  it('are told once, by every request that has to', () => {
    expect(host(siteOf({}), 'localhost', 'localhost')).toBe('MALFORMED_REQUEST');
    expect(host(siteOf({ HOST: '0.0.0.0' }))).toBe('MALFORMED_REQUEST');
    expect(
      codeOf(() => {
        siteOf({}).requireAuthority(undefined);
      }),
    ).toBe(NAME);
  });
});

describe('a page that opens a WebSocket', () => {
  const listed = { CORS_ALLOWED_ORIGINS: 'https://app.example.com, http://localhost:3000' };

  it.each([
    ['of a listed origin', listed, 'https://app.example.com', null],
    ['of a listed origin’s other port', listed, 'https://app.example.com:8443', ORIGIN],
    ['of a listed origin’s other scheme', listed, 'http://app.example.com', ORIGIN],
    ['of a name below it', listed, 'https://x.app.example.com', ORIGIN],
    ['of a name that begins so', listed, 'https://app.example.com.evil.example', ORIGIN],
    ['of nobody', listed, 'null', ORIGIN],
    ['of an empty origin', listed, '', ORIGIN],
    ['from here', {}, 'http://127.0.0.1:8080', null],
    ['from here by another name', {}, 'http://localhost:8080', ORIGIN],
    ['of another port of this machine', {}, 'http://127.0.0.1:3000', ORIGIN],
    ['from here over TLS', { TLS_TERMINATED_BY_PROXY: 'true' }, 'https://127.0.0.1:8080', null],
    ['from here without the TLS there is', { TLS_TERMINATED_BY_PROXY: 'true' }, 'http://127.0.0.1:8080', ORIGIN],
    ['of any site, where any may', { CORS_ALLOWED_ORIGINS: '*' }, 'https://evil.example', null],
    ['of nobody, where any may', { CORS_ALLOWED_ORIGINS: '*' }, 'null', ORIGIN],
  ])('%s', (_what, environment, name, expected) => {
    expect(origin(siteOf(environment), name)).toBe(expected);
  });

  it('of its own name, which was made to lead here, is not from here', () => {
    expect(origin(siteOf({ HOST: '0.0.0.0' }), 'http://evil.example:8080', 'evil.example:8080')).toBe(ORIGIN);
  });

  it('of two origins is of none', () => {
    const two = request([
      ['host', 'localhost'],
      ['origin', 'https://app.example.com'],
      ['Origin', 'https://evil.example'],
    ]);
    expect(
      codeOf(() => {
        siteOf(listed).requireOrigin(two);
      }),
    ).toBe(ORIGIN);
  });
});

describe('what a browser asks before a page calls', () => {
  const ask = (site: Site, name: string) =>
    site.preflight(
      request(
        [
          ['origin', name],
          ['access-control-request-method', 'DELETE'],
        ],
        'OPTIONS',
      ),
    );

  it('is granted to listed origins, and refused to all others', () => {
    const site = siteOf({ CORS_ALLOWED_ORIGINS: 'https://app.example.com' });
    expect(ask(site, 'https://app.example.com')).toMatchObject({
      'Access-Control-Allow-Methods': expect.stringContaining('DELETE'),
      'Access-Control-Allow-Headers': expect.stringContaining('authorization'),
    });
    for (const other of [site, siteOf({})]) expect(codeOf(() => ask(other, 'https://evil.example'))).toBe(ORIGIN);
  });

  it('is nothing else than that', () => {
    const site = siteOf({});
    expect(site.preflight(request([], 'OPTIONS'))).toBeNull();
    expect(site.preflight(request([['origin', 'https://evil.example']], 'OPTIONS'))).toBeNull();
    expect(site.preflight(request([['origin', 'https://evil.example']], 'GET'))).toBeNull();
  });
});

it.each([
  ['', {}, undefined],
  ['over TLS', { TLS_ENABLED: 'true' }, 'max-age=31536000; includeSubDomains'],
  ['behind a proxy with TLS', { TLS_TERMINATED_BY_PROXY: 'true' }, 'max-age=31536000; includeSubDomains'],
])('a browser is told to come over TLS only where there is TLS %s', (_what, environment, expected) => {
  expect(siteOf(environment).headers['Strict-Transport-Security']).toBe(expected);
});
