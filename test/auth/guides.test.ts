import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { gatehouse } from '../support/command-line.js';
import { freePort, TestGateway, until } from '../support/gateway.js';
import { ecKey, issue, KeyServer, type ProviderKey, rsaKey } from '../support/key-server.js';
import { codeOf, rest, startSession } from '../support/rest.js';

const INFO = '/api/v1/auth/info';
const now = (): number => Math.floor(Date.now() / 1000);

/** A page of docs/identity-providers, as somebody reads it who copies its blocks. */
class Guide {
  readonly #text: string;

  constructor(readonly name: string) {
    this.#text = readFileSync(resolve('docs/identity-providers', `${name}.md`), 'utf8');
  }

  /** The block of a configuration file, which its first line names. */
  file(name: 'auth.yaml' | 'permissions.yaml'): string {
    const found = this.#blocks('yaml').find((block) => block.startsWith(`# config/${name}\n`));
    if (found === undefined) throw new Error(`${this.name}.md has no block of ${name}`);
    return found;
  }

  get script(): string {
    return this.#blocks('js')[0] ?? '';
  }

  /** What a token says, and what the server answers to who sends it. */
  get shown(): { readonly claims: Record<string, unknown>; readonly info: Record<string, unknown> } {
    const [claims, info] = this.#blocks('json').map((block) => JSON.parse(block) as Record<string, unknown>);
    if (claims === undefined || info === undefined)
      throw new Error(`${this.name}.md does not show a token and an answer`);
    return { claims, info };
  }

  #blocks(language: string): string[] {
    const blocks = this.#text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'));
    return [...blocks].map(([, block = '']) => block);
  }
}

/** Stands in for a vendor: its addresses lead to this machine, its keys are real. */
interface StandIn {
  readonly host: string;
  readonly algorithm: 'RS256' | 'ES256';
  readonly header?: object;
}

const VENDORS: [string, StandIn][] = [
  ['backstage', { host: 'https://backstage.example.com', algorithm: 'ES256', header: { typ: 'vnd.backstage.user' } }],
  ['auth0', { host: 'https://example.eu.auth0.com', algorithm: 'RS256' }],
  ['okta', { host: 'https://example.okta.com', algorithm: 'RS256' }],
  ['keycloak', { host: 'https://keycloak.example.com', algorithm: 'RS256' }],
];

describe('the guides to identity providers', () => {
  let server: KeyServer;
  let gateway: TestGateway | null = null;
  let provider: ChildProcess | null = null;
  let folder: string | null = null;

  afterEach(async () => {
    await gateway?.remove();
    gateway = null;
    provider?.kill();
    if (folder !== null) rmSync(folder, { recursive: true });
    folder = null;
    await server.stop();
  });

  /** Starts the gateway with the two files of the page. */
  async function followed(guide: Guide, here: (text: string) => string): Promise<TestGateway> {
    const policy = join(server.folder, 'permissions.yaml');
    writeFileSync(policy, guide.file('permissions.yaml'));
    server.configure(here(guide.file('auth.yaml')));
    gateway = await TestGateway.start({ ...server.environment, POLICY_CONFIG: policy });
    return gateway;
  }

  /** What the page says under "Check it". */
  async function checked(running: TestGateway, token: string, info: object): Promise<void> {
    const { status, stdout } = await gatehouse(['token', 'inspect'], { input: token });
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^signature +not checked$/m)]);
    expect(stdout).toContain('CLAIMS');
    const answer = await rest(running, token, 'GET', INFO);
    expect([answer.status, answer.body]).toEqual([200, expect.objectContaining(info)]);
  }

  it.each(VENDORS)('%s: its configuration takes tokens of the shape that it shows', async (name, standIn) => {
    server = await KeyServer.start();
    const guide = new Guide(name);
    const here = (text: string): string => text.replaceAll(standIn.host, server.url);
    const key: ProviderKey = standIn.algorithm === 'ES256' ? ecKey('k1') : rsaKey('k1');
    const claims = JSON.parse(here(JSON.stringify(guide.shown.claims))) as Record<string, unknown>;
    const issuer = String(claims['iss']);
    serve(server, issuer, key);
    const token = (change: object = {}, header: object = standIn.header ?? {}): string =>
      issue(standIn.algorithm, key, { ...claims, iat: now(), exp: now() + 300, ...change }, header);
    const running = await followed(guide, here);

    await checked(running, token(), guide.shown.info);
    if (guide.shown.info['roles']?.toString().includes('user') === true) await startSession(running, token());
    const refused = async (credential: string): Promise<unknown[]> => {
      const answer = await rest(running, credential, 'GET', INFO);
      return [answer.status, codeOf(answer)];
    };
    expect(await refused(token({ aud: 'somebody-else' }))).toEqual([401, 'JWT_INVALID']);
    expect(await refused(token({ iss: `${issuer}x` }))).toEqual([401, 'JWT_INVALID']);
    expect(await refused(token({}, { typ: 'id+jwt' }))).toEqual([401, 'JWT_INVALID']);
    // Without the groups and roles of the page the token is good, and its holder may do nothing.
    const bare = Object.fromEntries(
      Object.entries(claims).filter(([claim]) => !/groups|roles|^ent$|access/.test(claim)),
    );
    const stranger = issue(standIn.algorithm, key, { ...bare, iat: now(), exp: now() + 300 }, standIn.header);
    const start = await rest(running, stranger, 'POST', '/api/v1/sessions', {});
    expect([start.status, codeOf(start)]).toEqual([403, 'PERMISSION_DENIED']);
  });

  it('any provider: the page works as it stands, its provider included', async () => {
    server = await KeyServer.start();
    const guide = new Guide('oidc-provider');
    const port = String(await freePort());
    const here = (text: string): string => text.replaceAll('9000', port);
    folder = mkdtempSync(join(tmpdir(), 'gatehouse-guide-'));
    symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
    writeFileSync(join(folder, 'provider.mjs'), here(guide.script));
    provider = spawn(process.execPath, ['provider.mjs'], { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] });
    let said = '';
    provider.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until('the provider', () => said.includes('ready'));
    const running = await followed(guide, here);

    const response = await fetch(`http://127.0.0.1:${port}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa('robot:a-secret-for-trying-out-0123456789')}` },
      body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'terminals' }),
    });
    const token = String(((await response.json()) as Record<string, unknown>)['access_token']);
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as object;
    expect(Object.keys(claims).sort()).toEqual(Object.keys(guide.shown.claims).sort());
    await checked(running, token, guide.shown.info);
    await startSession(running, token);
  });
});

/** Publishes the key where discovery says, and where Backstage has it. */
function serve(server: KeyServer, issuer: string, key: ProviderKey): void {
  const path = new URL(issuer).pathname.replace(/\/$/, '');
  server.publish('/keys', key.jwk);
  server.publish(`${path}/.well-known/jwks.json`, key.jwk);
  server.answer(`${path}/.well-known/openid-configuration`, (_request, response) => {
    response.end(JSON.stringify({ issuer, jwks_uri: `${server.url}/keys` }));
  });
}
