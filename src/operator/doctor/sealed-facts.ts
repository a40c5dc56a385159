import type { Client } from 'pg';
import { readable } from './readable.js';

/** Envelopes that are tried; whether the others can be opened, their key ids tell. */
export const MAX_TRIED = 2000;

/** A stored secret as it lies in its row. */
export interface SealedRow {
  readonly tenant: string;
  readonly name: string;
  readonly keyId: string;
  /** Null past {@link MAX_TRIED}. */
  readonly envelope: Buffer | null;
}

const SELECT = `
  SELECT tenant, name, key_id AS "keyId",
    CASE WHEN row_number() OVER (ORDER BY tenant, name) <= ${MAX_TRIED} THEN envelope END AS envelope
  FROM sealed_secrets`;

/** All of them; null where there is no table yet, or the login may not read it. */
export async function sealedRows(client: Client): Promise<SealedRow[] | null> {
  return (await readable(client, 'sealed_secrets')) ? (await client.query<SealedRow>(SELECT)).rows : null;
}
