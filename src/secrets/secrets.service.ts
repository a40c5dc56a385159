import { Inject, Injectable } from '@nestjs/common';
import { isPlatformAdmin } from '../authorization/platform-admins.js';
import { CONFIG, type Config } from '../config/load.js';
import { DomainError } from '../kernel/errors.js';
import type { CallerContext } from '../kernel/request-context.js';
import { Rekey, type Rekeying } from '../sealing/rekey.js';
import { SealedSecrets, type SecretRow } from '../sealing/sealed-secrets.js';
import type { ListCommand, PutCommand, RekeyCommand } from './secrets.schema.js';

/** A secret as it is shown: never its value. Times are RFC 3339, UTC. */
export interface SecretView {
  readonly name: string;
  readonly created_by: string;
  readonly created_at: string;
  readonly updated_by: string;
  readonly updated_at: string;
  /** The master key that it is sealed under. */
  readonly key_id: string;
  /** Can this gateway open it, having that key? */
  readonly readable: boolean;
}

export interface SecretPage {
  readonly items: readonly SecretView[];
  readonly next_cursor: string | null;
}

/** What somebody put: whether the name is new. */
export type PutView = SecretView & { readonly created: boolean };

/** The secrets of a tenant: stored, listed, removed, sealed anew. Nobody gets a value back. */
@Injectable()
export class SecretsService {
  constructor(
    private readonly secrets: SealedSecrets,
    private readonly rekeying: Rekey,
    @Inject(CONFIG) private readonly config: Pick<Config, 'PLATFORM_ADMINS'>,
  ) {}

  /** @throws DomainError SECRET_LIMIT for a new name past it; SEALING_UNAVAILABLE */
  async put({ principal }: CallerContext, name: string, { value }: PutCommand): Promise<PutView> {
    const { row, created } = await this.secrets.put(principal, name, value);
    return { ...this.#view(row), created };
  }

  async list({ principal }: CallerContext, { limit, cursor }: ListCommand): Promise<SecretPage> {
    const rows = await this.secrets.list(principal.tenant, cursor ?? null, limit);
    const last = rows.length === limit ? rows.at(-1) : undefined;
    return { items: rows.map((row) => this.#view(row)), next_cursor: last?.name ?? null };
  }

  /** @throws DomainError NOT_FOUND */
  async get({ principal }: CallerContext, name: string): Promise<SecretView> {
    const row = await this.secrets.find(principal.tenant, name);
    if (row === null) throw notFound();
    return this.#view(row);
  }

  /** @throws DomainError NOT_FOUND */
  async remove({ principal }: CallerContext, name: string): Promise<void> {
    if (!(await this.secrets.remove(principal.tenant, name))) throw notFound();
  }

  /**
   * Seals the tenant's secrets anew under the current master key, or those of all tenants, some hundreds a call.
   * @throws DomainError PERMISSION_DENIED for all tenants' when the caller is no platform administrator
   */
  async rekey({ principal }: CallerContext, { all_tenants: all }: RekeyCommand): Promise<Rekeying> {
    if (all && !isPlatformAdmin(this.config, principal)) {
      throw new DomainError('PERMISSION_DENIED', 'Only those whom PLATFORM_ADMINS names reach all tenants.');
    }
    return this.rekeying.run(all ? null : principal.tenant);
  }

  #view({ name, keyId, createdBy, createdAt, updatedBy, updatedAt }: SecretRow): SecretView {
    return {
      name,
      created_by: createdBy,
      created_at: createdAt.toISOString(),
      updated_by: updatedBy,
      updated_at: updatedAt.toISOString(),
      key_id: keyId,
      readable: this.secrets.opens(keyId),
    };
  }
}

const notFound = (): DomainError => new DomainError('NOT_FOUND', 'There is no secret of that name.');
