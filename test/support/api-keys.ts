import { crc32 } from 'node:zlib';
import { type TestGateway, until } from './gateway.js';
import { type Answer, rest } from './rest.js';

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const PATH = '/api/v1/api-keys';

/** A key as it was made: its id, its text, and all that the answer said. */
export interface MadeKey {
  readonly id: string;
  readonly key: string;
  readonly body: Record<string, unknown>;
}

/** Calls `/api/v1/api-keys<path>`. */
export const keys = (
  gateway: TestGateway,
  credential: string,
  method: string,
  path = '',
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> => rest(gateway, credential, method, PATH + path, body, headers);

/** Makes a key. @throws Error when it is refused */
export async function makeKey(
  gateway: TestGateway,
  credential: string,
  fields: Record<string, unknown> = {},
): Promise<MadeKey> {
  const { status, body, text } = await keys(gateway, credential, 'POST', '', { name: 'a key', ...fields });
  if (status !== 201) throw new Error(`key not made: ${text}`);
  return { id: String(body['id']), key: String(body['key']), body };
}

/** Status and code of a call with the key that any holder of `pty:view` may make. */
export async function use(gateway: TestGateway, key: string, headers: Record<string, string> = {}): Promise<unknown[]> {
  const { status, body } = await rest(gateway, key, 'GET', '/api/v1/sessions?limit=1', undefined, headers);
  const error = body['error'] as Record<string, unknown> | undefined;
  return error === undefined ? [status] : [status, error['code']];
}

/** The names of the fields that an answer says are wrong. */
export function wrongFields({ body }: Answer): unknown[] {
  const error = body['error'] as { details?: { fields?: { field: string }[] } } | undefined;
  return error?.details?.fields?.map(({ field }) => field) ?? [];
}

/** Waits until what the token of this subject says is on record, which its keys are held to. */
export async function standing(gateway: TestGateway, credential: string, subject: string): Promise<void> {
  await rest(gateway, credential, 'GET', '/api/v1/sessions?limit=1');
  await until(`the standing of ${subject}`, async () => {
    const rows = await gateway.query('SELECT 1 FROM subjects WHERE subject = $1', [subject]);
    return rows.length > 0;
  });
}

/** The text of another key, its checksum right: what somebody would make up who knows the form. */
export function forged(key: string, change: (body: string) => string): string {
  const body = change(key.slice(0, -6));
  let [rest, sum] = [crc32(body), ''];
  for (; rest > 0; rest = Math.floor(rest / 62)) sum = BASE62.charAt(rest % 62) + sum;
  return body + sum.padStart(6, '0');
}
