import { Injectable } from '@nestjs/common';
import { TenantScope } from '../database/tenant-scope.js';
import { SealBroken } from './envelope.js';
import { Keyring, SealKeyMissing } from './keyring.js';
import { placeOf, SealedSecrets } from './sealed-secrets.js';

/** Rows that one call seals anew: it is over in a few seconds, and the next one goes on. */
export const MAX_REKEYED = 500;
const PAGE = 100;
/** Of what cannot be opened so many are named. */
const MAX_NAMED = 20;

/** A secret that could not be opened, and so was left as it is. */
export interface Unopened {
  readonly tenant: string;
  readonly name: string;
  /** The master key is not here, or the row was altered. */
  readonly problem: 'key_missing' | 'broken';
  readonly key_id: string;
}

/** What one call did. */
export interface Rekeying {
  /** Rows that are under the current key since. */
  readonly rekeyed: number;
  /** Are there more, for the next call? */
  readonly more: boolean;
  /** Rows that were left as they are. */
  readonly unopened: number;
  /** Some of them. */
  readonly examples: readonly Unopened[];
  /** The master key that it was about. */
  readonly key_id: string;
}

interface Row {
  readonly tenant: string;
  readonly name: string;
  readonly key_id: string;
}

/** Seals what is under another master key anew under the current one. */
@Injectable()
export class Rekey {
  constructor(
    private readonly scope: TenantScope,
    private readonly secrets: SealedSecrets,
  ) {}

  /**
   * At most {@link MAX_REKEYED} rows, each in a transaction of its own: wherever it is cut off, every row can be opened, and
   * the next call goes on.
   * @param tenant whose; null: everybody's
   * @throws DomainError SEALING_UNAVAILABLE without a key
   */
  async run(tenant: string | null): Promise<Rekeying> {
    const keyring = this.secrets.requireKeyring();
    const unopened: Unopened[] = [];
    let rekeyed = 0;
    let row: Row | undefined;
    for (
      let page = await this.#page(keyring, tenant, row);
      page.length > 0;
      page = await this.#page(keyring, tenant, row)
    ) {
      for (row of page) {
        if (rekeyed === MAX_REKEYED) return answerOf(keyring, rekeyed, true, unopened);
        const problem = await this.#rekey(keyring, row);
        if (problem === null) rekeyed += 1;
        else unopened.push({ ...row, problem });
      }
    }
    return answerOf(keyring, rekeyed, false, unopened);
  }

  #page({ keyId }: Keyring, tenant: string | null, after: Row | undefined): Promise<Row[]> {
    const query = `
      SELECT tenant, name, key_id FROM sealed_secrets
      WHERE key_id <> $1 AND ($2::text IS NULL OR tenant = $2) AND (tenant, name) > ($3, $4)
      ORDER BY tenant, name LIMIT ${PAGE}`;
    const values = [keyId, tenant, after?.tenant ?? '', after?.name ?? ''];
    return this.scope.system((manager) => manager.query<Row[]>(query, values));
  }

  /** @returns why it was left as it is; null when it is under the current key now, or gone */
  #rekey(keyring: Keyring, { tenant, name }: Row): Promise<Unopened['problem'] | null> {
    return this.scope.within(tenant, async (manager) => {
      const select = 'SELECT envelope FROM sealed_secrets WHERE tenant = $1 AND name = $2 FOR UPDATE';
      const [found] = await manager.query<{ envelope: Buffer }[]>(select, [tenant, name]);
      if (found === undefined) return null;
      const place = placeOf(tenant, name);
      const content = opened(() => keyring.open(place, found.envelope));
      if (typeof content === 'string') return content;
      const update = 'UPDATE sealed_secrets SET envelope = $3, key_id = $4 WHERE tenant = $1 AND name = $2';
      await manager.query(update, [tenant, name, keyring.seal(place, content), keyring.keyId]);
      return null;
    });
  }
}

function opened(open: () => Buffer): Buffer | Unopened['problem'] {
  try {
    return open();
  } catch (error) {
    if (error instanceof SealKeyMissing) return 'key_missing';
    if (error instanceof SealBroken) return 'broken';
    throw error;
  }
}

const answerOf = ({ keyId }: Keyring, rekeyed: number, more: boolean, unopened: readonly Unopened[]): Rekeying => ({
  rekeyed,
  more,
  unopened: unopened.length,
  examples: unopened.slice(0, MAX_NAMED),
  key_id: keyId,
});
