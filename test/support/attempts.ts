import type { ServiceError } from '@grpc/grpc-js';
import type { TestGateway } from './gateway.js';
import { GrpcClient, reasonOf } from './grpc-client.js';
import { codeOf, rest } from './rest.js';
import { WsClient } from './ws-client.js';

/** What a gateway is to believe, so that a test may call from any address: that this machine is a proxy. */
export const BEHIND_PROXY = { TRUSTED_PROXIES: '127.0.0.1' };

/** What an attempt was answered: the code of its refusal, or null; and where it is a matter of time, in how many seconds. */
export interface Outcome {
  readonly code: string | null;
  readonly retryAfter: number | null;
}

/** Calls with this credential, or none, as if from that address. */
type Attempt = (gateway: TestGateway, credential: string | null, address: string) => Promise<Outcome>;

const seconds = (text: unknown): number | null => (typeof text === 'string' ? Number(text) : null);

const overRest: Attempt = async (gateway, credential, address) => {
  const answer = await rest(gateway, credential, 'GET', '/api/v1/sessions?limit=1', undefined, {
    'x-forwarded-for': address,
  });
  return {
    code: answer.status === 200 ? null : String(codeOf(answer)),
    retryAfter: seconds(answer.headers.get('retry-after')),
  };
};

const overGrpc: Attempt = async (gateway, credential, address) => {
  const client = new GrpcClient(gateway, credential);
  const { metadata } = client;
  metadata.set('x-forwarded-for', address);
  try {
    await client.call('list', {}, metadata);
    return { code: null, retryAfter: null };
  } catch (error) {
    return {
      code: reasonOf(error as ServiceError),
      retryAfter: seconds((error as ServiceError).metadata.get('retry-after')[0]),
    };
  } finally {
    client.close();
  }
};

/** Without a credential an upgrade that is let in is told so: it would be asked for one. */
const atUpgrade: Attempt = async (gateway, credential, address) => {
  const options = { headers: { 'x-forwarded-for': address }, ...(credential === null ? {} : { credential }) };
  try {
    const ws = await WsClient.open(gateway, '/ws', options);
    ws.close();
    return { code: credential === null ? 'AUTH_TOKEN_MISSING' : null, retryAfter: null };
  } catch (error) {
    const { body, headers } = error as { body: string; headers: Record<string, string> };
    const { code } = (JSON.parse(body) as { error: { code: string } }).error;
    return { code, retryAfter: seconds(headers['retry-after']) };
  }
};

/** A credential in the first message of a connection. */
export const byMessage = async (gateway: TestGateway, credential: string, address: string): Promise<string | null> => {
  const ws = await WsClient.open(gateway, '/ws', { headers: { 'x-forwarded-for': address } });
  ws.send({ type: 'authenticate', token: credential });
  const heard = (): string | undefined =>
    ws.messages.map(({ type }) => type).find((type) => type === 'error' || type === 'authenticated');
  while (heard() === undefined) await new Promise((done) => setTimeout(done, 10));
  const error = ws.messages.find(({ type }) => type === 'error');
  ws.close();
  return error === undefined ? null : String(error['code']);
};

/** The same attempt on every transport. */
export const ATTEMPTS: readonly (readonly [transport: string, attempt: Attempt])[] = [
  ['REST', overRest],
  ['gRPC', overGrpc],
  ['WebSocket', atUpgrade],
];
export { atUpgrade, overGrpc, overRest };
