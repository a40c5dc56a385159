import { WebSocket } from 'ws';
import type { OpenSocket } from '../client/index.js';

/** As much of a refusal's body as is read; ours are far shorter. */
const MAX_BODY_BYTES = 64 * 1024;

/** Opens WebSockets with the credential in a header, where the server sees it before it says yes. */
export const socketsWith =
  (token: string): OpenSocket =>
  (address, protocols, { alive, refused }) => {
    const socket = new WebSocket(address, protocols, {
      headers: { authorization: `Bearer ${token}` },
      perMessageDeflate: false,
      followRedirects: false,
    });
    socket.on('ping', alive);
    socket.on('unexpected-response', (_request, response) => {
      const body: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length <= MAX_BODY_BYTES) body.push(chunk);
        else response.destroy();
      });
      response.once('close', () => {
        refused(response.statusCode ?? 0, Buffer.concat(body).toString('utf8'));
      });
    });
    return socket;
  };
