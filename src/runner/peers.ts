import type { Socket } from 'node:net';

/** How long a gateway may be without a connection for control before it is taken for gone. */
const GONE_MS = 5000;

interface Peer {
  readonly control: Set<Socket>;
  readonly links: Set<Socket>;
  gone: NodeJS.Timeout | undefined;
}

/**
 * The gateways of other machines, each known by its certificate. A machine that vanishes closes nothing: its connection
 * for control is found dead by pings, while those for bytes may wait for as long as TCP sends again, a quarter of an hour,
 * and hold programs up meanwhile. So they are cut when none for control of the same certificate is left.
 */
export class Peers {
  readonly #peers = new Map<string, Peer>();

  /** @param goneMs milliseconds without a connection for control after which those for bytes are cut */
  constructor(private readonly goneMs = GONE_MS) {}

  /** Takes a connection in. It is forgotten when it closes, so there are no more of these than connections. */
  add(kind: 'control' | 'links', certificate: string, socket: Socket): void {
    const peer = this.#peers.get(certificate) ?? { control: new Set(), links: new Set(), gone: undefined };
    this.#peers.set(certificate, peer);
    peer[kind].add(socket);
    socket.once('close', () => {
      peer[kind].delete(socket);
      this.#look(certificate, peer);
    });
    this.#look(certificate, peer);
  }

  /** Cuts every connection. */
  cut(): void {
    for (const { control, links } of this.#peers.values()) {
      for (const socket of [...control, ...links]) socket.destroy();
    }
  }

  #look(certificate: string, peer: Peer): void {
    if (peer.control.size > 0 || peer.links.size === 0) {
      clearTimeout(peer.gone);
      peer.gone = undefined;
      if (peer.control.size + peer.links.size === 0) this.#peers.delete(certificate);
      return;
    }
    peer.gone ??= setTimeout(() => {
      peer.gone = undefined;
      for (const socket of peer.links) socket.destroy();
    }, this.goneMs);
  }
}
