import { randomUUID } from 'node:crypto';
import { realpathSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BEHIND_PROXY } from '../attempts.js';
import { TestGateway, token } from '../gateway.js';
import { ecKey, issue, KeyServer } from '../key-server.js';
import { Authority, CertificateFolder } from '../link-certificates.js';
import { type Answer, rest } from '../rest.js';
import { scriptedAgents } from '../scripted-agents.js';
import { git } from '../worktrees.js';

/** The providers of the catalogue's gateway: their keys are there, never there, and there until they are taken away. */
export const PROVIDERS = ['once', 'down', 'falling'] as const;
const keys = Object.fromEntries(PROVIDERS.map((name) => [name, ecKey(`${name}-1`)]));

/** A gateway that speaks TLS, and the folder of its certificate. */
interface SecureGateway {
  readonly gateway: TestGateway;
  readonly folder: CertificateFolder;
}

/** A gateway with identity providers and configuration files that a test may edit. */
export class CatalogueWorld {
  #secure: SecureGateway | null = null;

  private constructor(
    readonly server: KeyServer,
    readonly gateway: TestGateway,
    readonly policyFile: string,
  ) {}

  static async start(): Promise<CatalogueWorld> {
    const server = await KeyServer.start();
    for (const name of PROVIDERS) server.publish(`/${name}`, keys[name]?.jwk ?? {});
    server.answer('/down', (_request, response) => response.writeHead(500).end());
    server.configure(authentication(server.url));
    const policyFile = join(server.folder, 'permissions.yaml');
    writeFileSync(policyFile, '{ default_roles: [] }');
    git(server.folder, 'init', '--quiet', '--initial-branch=main', 'projects/app');
    git(join(server.folder, 'projects/app'), 'commit', '--quiet', '--allow-empty', '-m', 'first');
    const gateway = await TestGateway.start({
      ...{ ...server.environment, ...scriptedAgents(server.folder), POLICY_CONFIG: policyFile },
      ...{ ...BEHIND_PROXY, LOCKOUT_FAILURES: '5', LOCKOUT_SECONDS: '1', LOCKOUT_MAX_SECONDS: '1' },
      PROJECT_ROOTS: realpathSync(join(server.folder, 'projects')),
    });
    return new CatalogueWorld(server, gateway, policyFile);
  }

  /** Another gateway beside it, which speaks TLS; started when it is first asked for. */
  async secure(): Promise<SecureGateway> {
    if (this.#secure !== null) return this.#secure;
    const folder = new CertificateFolder();
    await this.putCertificate(folder);
    const files = { TLS_CERT_FILE: folder.path('server.crt'), TLS_KEY_FILE: folder.path('server.key') };
    this.#secure = { folder, gateway: await this.gateway.sibling({ TLS_ENABLED: 'true', ...files }) };
    return this.#secure;
  }

  /** Gives that one another certificate. */
  async putCertificate(folder = this.#secure?.folder): Promise<void> {
    const { cert, key } = await (await Authority.make()).issue(['localhost'], 'serverAuth');
    folder?.put('server.key', key);
    folder?.put('server.crt', cert);
  }

  async remove(): Promise<void> {
    await this.#secure?.gateway.end();
    this.#secure?.folder.remove();
    await this.gateway.remove();
    await this.server.stop();
  }

  /** Somebody who has not called before. */
  person(roles: readonly string[] = ['user'], claims: object = {}): { readonly name: string; readonly token: string } {
    const name = `person-${randomUUID()}`;
    return { name, token: token({ sub: name, roles, ...claims }) };
  }

  get root(): string {
    return token({ sub: 'root', roles: ['admin'] });
  }

  /** A token of one of the providers. */
  provided(provider: (typeof PROVIDERS)[number]): string {
    const iat = Math.floor(Date.now() / 1000) - 5;
    const named = { iss: `https://${provider}.example.com`, aud: 'gatehouse', sub: 'ann', jti: randomUUID() };
    return issue('ES256', keys[provider] ?? ecKey('none'), { ...named, iat, exp: iat + 600 });
  }

  call(credential: string | null, method: string, path: string, body?: unknown): Promise<Answer> {
    return rest(this.gateway, credential, method, `/api/v1${path}`, body);
  }

  /** Replaces permissions.yaml in one step. */
  putPolicy(text: string): void {
    writeFileSync(`${this.policyFile}.new`, text);
    renameSync(`${this.policyFile}.new`, this.policyFile);
  }

  /** Changes auth.yaml in a way that nobody is met by. */
  touchAuthentication(): void {
    this.server.configure(authentication(this.server.url, { timeout_seconds: 6 }));
  }
}

const authentication = (url: string, change: object = {}): object => ({
  ...{ timeout_seconds: 5, cache_ttl_seconds: 2, refresh_interval_seconds: 2 },
  authorization: { deny_users: ['mallory'] },
  jwks_providers: PROVIDERS.map((name) => ({
    ...{ name, issuer: `https://${name}.example.com`, url: `${url}/${name}`, audiences: ['gatehouse'] },
    ...{ algorithms: ['ES256'], replay_protection: name === 'once' },
  })),
  ...change,
});
