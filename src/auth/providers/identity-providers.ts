import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Standings } from '../../authorization/standings.js';
import { CONFIG, type Config, type ConfigurationError } from '../../config/load.js';
import { YamlFile } from '../../config/yaml-file.js';
import { AuditTrail } from '../../kernel/audit.js';
import { type Clock } from '../../kernel/clock.js';
import type { DomainError } from '../../kernel/errors.js';
import { LOCAL_PROVIDER, type Principal } from '../../kernel/principal.js';
import { systemContext } from '../../kernel/request-context.js';
import { CLOCK } from '../../kernel/tokens.js';
import { refusal } from '../tokens/refusal.js';
import { accessRefusal } from './access-lists.js';
import { type AuthConfig, authFileSchema, keyAddressOf, type ProviderConfig } from './auth-config.js';
import { hasSameKeys, type IdentityProvider, isSameConfig, settingsOf } from './identity-provider.js';
import { mappedRoles } from './claim-mapping.js';
import { fetchKeys } from './jwks-client.js';
import { KeySet } from './key-set.js';
import { KeySetRecord } from './key-set-record.js';

const TICK_MS = 1000;
/** Mistakes of a rejected file that go on record; all of them are in the log. */
const MAX_PROBLEMS = 10;

/** Nest's injection token for the file that {@link IdentityProviders.open} read. */
export const AUTH_FILE = Symbol('AUTH_FILE');

/** auth.yaml, valid. */
export type AuthFile = YamlFile<AuthConfig>;

/** The configured identity providers with their keys, and who is let in. A valid change of the file applies at once. */
@Injectable()
export class IdentityProviders implements OnModuleInit, OnModuleDestroy {
  #byIssuer: ReadonlyMap<string, IdentityProvider> = new Map();
  readonly #listeners = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    @Inject(AUTH_FILE) private readonly file: AuthFile,
    @Inject(CONFIG) private readonly environment: Config,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly audit: AuditTrail,
    private readonly standings: Standings,
    private readonly log: PinoLogger,
  ) {}

  /**
   * Reads and validates AUTH_CONFIG and AUTH_JWKS_PROVIDERS; before Nest, which would tell a mistake with a stack.
   * @throws ConfigurationError with the path of every wrong field
   */
  static open(config: Config): AuthFile {
    return new YamlFile(config.AUTH_CONFIG, authFileSchema(config));
  }

  /** What is in force now. */
  get config(): AuthConfig {
    return this.file.value;
  }

  onModuleInit(): void {
    this.standings.useRoleMaps((provider, roles) => this.#rolesOf(provider, roles));
    this.#apply();
    this.#tick();
    this.#timer = setInterval(() => {
      this.#tick();
    }, TICK_MS).unref();
    this.file.watch({
      changed: () => {
        this.#changed();
      },
      rejected: (error) => {
        this.#rejected(error);
      },
    });
  }

  onModuleDestroy(): void {
    this.file.close();
    clearInterval(this.#timer);
    for (const { keys } of this.#byIssuer.values()) keys.stop();
  }

  /** The provider of this `iss`; undefined when there is none. */
  byIssuer(issuer: string): IdentityProvider | undefined {
    return this.#byIssuer.get(issuer);
  }

  /** Is there a provider of this name? */
  isConfigured(name: string): boolean {
    return this.config.jwks_providers.some((provider) => provider.name === name);
  }

  /** Why the deny and allow lists do not let somebody in; null when they do. */
  accessRefusal(principal: Principal): DomainError | null {
    return accessRefusal(this.config.authorization, principal);
  }

  /** Why nobody of a provider of this name is believed; null when one is configured, and for this server itself. */
  unknownRefusal(name: string): DomainError | null {
    return name === LOCAL_PROVIDER || this.isConfigured(name) ? null : refusal('JWT_INVALID', 'idp_unknown');
  }

  /**
   * Why what was made from a provider's token, by an exchange or as a ticket, is void: the provider is gone or configured
   * otherwise, or the key that signed was withdrawn. Null when it stands, and for what this server vouches for.
   */
  voucherRefusal({ provider: name, voucher }: Principal): DomainError | null {
    if (name === LOCAL_PROVIDER) return null;
    const provider = [...this.#byIssuer.values()].find(({ config }) => config.name === name);
    if (provider === undefined) return refusal('JWT_INVALID', 'idp_unknown');
    if (provider.settings !== voucher?.settings) return refusal('JWT_INVALID', 'provider_changed');
    return provider.keys.refusalOf({ fingerprint: voucher.key });
  }

  /**
   * Calls the listener when a changed configuration is in force, or a provider's keys are others than before.
   * @returns ends that
   */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tick(): void {
    for (const { keys } of this.#byIssuer.values()) keys.tick();
  }

  /** Makes the providers of the file the ones in force; what did not change keeps its keys. */
  #apply(): void {
    const before = [...this.#byIssuer.values()];
    const after = this.config.jwks_providers.map((config) => this.#keptOrNew(config, before));
    this.#byIssuer = new Map(after.map((provider) => [provider.config.issuer, provider]));
    for (const { keys } of before) if (!after.some((kept) => kept.keys === keys)) keys.stop();
  }

  #keptOrNew(config: ProviderConfig, before: readonly IdentityProvider[]): IdentityProvider {
    const known = before.find((each) => hasSameKeys(each.config, config));
    if (known === undefined) return { config, keys: this.#keySet(config), settings: settingsOf(config) };
    return isSameConfig(known.config, config) ? known : { config, keys: known.keys, settings: settingsOf(config) };
  }

  #keySet(config: ProviderConfig): KeySet {
    const address = keyAddressOf(config);
    return new KeySet({
      algorithms: config.algorithms,
      times: () => this.config,
      fetch: (signal) =>
        fetchKeys(address, {
          signal,
          timeoutMs: this.config.timeout_seconds * 1000,
          loopbackHttp: !this.environment.production,
        }),
      clock: this.clock,
      listener: new KeySetRecord(config.name, this.audit, this.clock, () => {
        this.#tell();
      }),
    });
  }

  /** A provider's roles as ours, by its map as it is now; none of a provider that is not configured. */
  #rolesOf(name: string, roles: readonly string[]): readonly string[] {
    if (name === LOCAL_PROVIDER) return roles;
    const config = this.config.jwks_providers.find((each) => each.name === name);
    return config === undefined ? [] : mappedRoles(config.role_map, roles);
  }

  #changed(): void {
    this.#apply();
    this.standings.remapped();
    this.#tick();
    this.audit.note(systemContext(), { action: 'config.reloaded', ...this.#fact(), success: true });
    this.#tell();
  }

  #rejected({ problems }: ConfigurationError): void {
    const { resource, metadata } = this.#fact();
    this.log.error({ file: this.file.path, problems }, 'a change of the configuration is not valid and not in force');
    this.audit.note(systemContext(), {
      ...{ action: 'config.rejected', resource, success: false, reason: 'INVALID_ARGUMENT' },
      metadata: { ...metadata, mistakes: problems.length, problems: problems.slice(0, MAX_PROBLEMS) },
    });
  }

  #fact() {
    return { resource: `file:${this.file.path}`, metadata: { file: this.file.path } };
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
