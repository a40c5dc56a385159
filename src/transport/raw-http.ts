import { STATUS_CODES } from 'node:http';
import type { DomainError } from '../kernel/errors.js';
import { errorBody, errorHeaders } from './rest-answer.js';

/** A refusal as a whole HTTP answer, for sockets that no framework answers: upgrades and unreadable requests. */
export function httpRefusal(error: DomainError, requestId: string): string {
  const body = JSON.stringify(errorBody(error, requestId));
  const { http } = error.answer;
  const headers = {
    ...errorHeaders(error),
    'X-Request-Id': requestId,
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(body)),
    Connection: 'close',
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return `HTTP/1.1 ${http} ${STATUS_CODES[http] ?? ''}\r\n${lines.join('\r\n')}\r\n\r\n${body}`;
}
