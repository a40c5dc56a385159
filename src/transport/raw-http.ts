import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { DomainError } from '../kernel/errors.js';
import { type RateReport, rateHeaders } from '../kernel/rate-report.js';
import { errorBody, errorHeaders } from './rest-answer.js';

/** How long a client that was refused may take to read the answer and hang up. */
const LINGER_MS = 1000;
/** Refused connections that may linger at once; beyond it the answer is sent and the connection cut. */
const MAX_LINGERING = 100;

const lingering = new Set<Duplex>();

/**
 * A refusal as a whole HTTP answer, for sockets that no framework answers: upgrades and unreadable requests.
 * @param others headers beside its own
 */
export function httpRefusal(error: DomainError, requestId: string, others: Readonly<Record<string, string>>): string {
  const body = JSON.stringify(errorBody(error, requestId));
  const headers = Object.entries({ ...others, ...headersOf(error, requestId, body) }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  const { http } = error.answer;
  return `HTTP/1.1 ${http} ${STATUS_CODES[http] ?? ''}\r\n${headers.join('\r\n')}\r\n\r\n${body}`;
}

/**
 * The same on a request that was parsed but that no framework answers. The connection ends with it.
 * @param rate what the sender may still ask for, where that is known
 */
export function answerRaw(
  response: ServerResponse,
  error: DomainError,
  requestId: string,
  rate: RateReport | null,
): void {
  const body = JSON.stringify(errorBody(error, requestId));
  const left = rate === null ? {} : rateHeaders(rate);
  response.writeHead(error.answer.http, { ...left, ...headersOf(error, requestId, body) }).end(body);
}

/**
 * Sends the last bytes on a socket and closes it for good. Ending alone would not do: a client that does not hang up would
 * keep the descriptor for ever. What it still sends is thrown away meanwhile, because closing over unread bytes takes the
 * answer from it.
 */
export function endSocket(socket: Duplex, bytes: string | Uint8Array): void {
  if (lingering.has(socket)) return;
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const room = lingering.size < MAX_LINGERING;
  const cut = (): void => {
    socket.destroy();
  };
  const timer = setTimeout(cut, LINGER_MS);
  lingering.add(socket);
  socket.once('close', () => {
    clearTimeout(timer);
    lingering.delete(socket);
  });
  socket.once('end', cut);
  socket.end(bytes, room ? undefined : cut);
  socket.resume();
}

function headersOf(error: DomainError, requestId: string, body: string): Record<string, string> {
  return {
    ...errorHeaders(error),
    'X-Request-Id': requestId,
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(body)),
    Connection: 'close',
  };
}
