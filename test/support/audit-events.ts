import { randomUUID } from 'node:crypto';
import type { TestGateway } from './gateway.js';
import { type Answer, rest } from './rest.js';

type Seed = Record<string, unknown>;

const DEFAULTS: Seed = {
  ...{ tenant: 'default', user_id: 'system', principal_kind: null, auth_method: null, credential_id: null },
  ...{ action: 'auth.success', resource: null, success: true, reason: null, level: 'info', transport: 'system' },
  ...{ remote_addr: 'local', user_agent: null, request_id: 'seeded', trace_id: null, metadata: {} },
  ...{ node: 'seeds', seq: 0, prev_hash: '', hash: '', canonical: '' },
};

/** Puts events into the table that nobody did, in the order given; their ids. */
export async function seed(gateway: TestGateway, events: readonly Seed[]): Promise<string[]> {
  const rows = events.map((event) => ({ ...DEFAULTS, id: randomUUID(), timestamp: new Date(), ...event }));
  await gateway.query('SELECT audit_make_month(timestamp) FROM jsonb_to_recordset($1) AS r (timestamp timestamptz)', [
    JSON.stringify(rows),
  ]);
  await gateway.query('INSERT INTO audit_events SELECT * FROM jsonb_populate_recordset(NULL::audit_events, $1)', [
    JSON.stringify(rows),
  ]);
  return rows.map(({ id }) => id);
}

/** One call of the reading side. */
export const ask = (
  gateway: TestGateway,
  credential: string | null,
  path: string,
  query: Record<string, string> = {},
): Promise<Answer> =>
  rest(gateway, credential, 'GET', `/api/v1/audit/${path}?${new URLSearchParams(query).toString()}`);

export type Item = Record<string, unknown> & { readonly id: string; readonly timestamp: string };
export const itemsOf = ({ body }: Answer): Item[] => body['items'] as Item[];
