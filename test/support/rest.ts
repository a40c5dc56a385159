import type { TestGateway } from './gateway.js';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
  readonly text: string;
}

/** One REST call. `credential` goes into the Authorization header; null sends none. */
export async function rest(
  gateway: TestGateway,
  credential: string | null,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(gateway.url + path, {
    method,
    headers: {
      ...(credential === null ? {} : { authorization: `Bearer ${credential}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const json = response.headers.get('content-type')?.includes('application/json') === true && text !== '';
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: json ? (JSON.parse(text) as Record<string, unknown>) : {},
  };
}

/** The code of an error answer. */
export const codeOf = ({ body }: Answer): unknown => (body['error'] as Record<string, unknown> | undefined)?.['code'];

/** Starts a session over REST; its id. */
export async function startSession(
  gateway: TestGateway,
  credential: string,
  command: Record<string, unknown> = {},
): Promise<string> {
  const answer = await rest(gateway, credential, 'POST', '/api/v1/sessions', command);
  if (answer.status !== 201) throw new Error(`session not started: ${answer.text}`);
  return String(answer.body['id']);
}
