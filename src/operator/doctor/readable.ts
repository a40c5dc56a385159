import type { Client } from 'pg';

/** Is the table there, and may this login read it? */
export async function readable(client: Client, table: string): Promise<boolean> {
  const { rows } = await client.query<{ may: boolean | null }>(
    `SELECT has_table_privilege(to_regclass($1), 'SELECT') AS may`,
    [table],
  );
  return rows[0]?.may === true;
}
