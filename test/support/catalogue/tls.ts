import { connect } from 'node:net';
import { type Cases } from './case.js';

/** What happens on the ports of a gateway that speaks TLS. */
export const tlsCases: Cases = {
  'tls.handshake_failed': {
    failure: async (world) => {
      const { gateway: log } = await world.secure();
      for (const port of [log.httpPort, log.grpcPort]) {
        const socket = connect(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\n\r\n'));
        await new Promise((done) => socket.resume().on('close', done));
      }
      const event = { reason: 'TLS_REQUIRED', resource: null, user_id: 'unknown' };
      return [
        { event: { ...event, transport: 'rest' }, log },
        { event: { ...event, transport: 'grpc' }, log },
      ];
    },
  },
  'tls.certificate_reloaded': {
    success: async (world) => {
      const { gateway: log, folder } = await world.secure();
      await world.putCertificate();
      return [{ event: { resource: `file:${folder.path('server.crt')}`, transport: 'system' }, log }];
    },
  },
};
