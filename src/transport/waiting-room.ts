import { DomainError } from '../kernel/errors.js';
import type { WsConnection } from './ws-connection.js';

/** Connections that have not said who they are, in all. */
const MAX_WAITING = 200;
const WITHIN_MS = 30_000;

/** Bounds how many connections wait to say who they are, and for how long. */
export class WaitingRoom {
  #waiting = 0;

  /**
   * @param max connections that may wait at once
   * @param withinMs how long each may wait
   */
  constructor(
    private readonly max = MAX_WAITING,
    private readonly withinMs = WITHIN_MS,
  ) {}

  /** @throws DomainError CONNECTION_LIMIT when no more may wait */
  requireRoom(): void {
    if (this.#waiting >= this.max)
      throw new DomainError('CONNECTION_LIMIT', 'Too many connections wait to authenticate.');
  }

  /**
   * Counts the connection until its caller is known or it is gone, and closes it when neither happened in time.
   * @param onKnown called once, when the caller is known
   */
  admit(connection: WsConnection, onKnown: () => void): void {
    let waiting = true;
    this.#waiting += 1;
    const timer = setTimeout(() => {
      connection.closeWith(new DomainError('AUTH_TOKEN_MISSING', 'No credential came in time.'));
    }, this.withinMs);
    const leave = (): void => {
      if (!waiting) return;
      waiting = false;
      clearTimeout(timer);
      this.#waiting -= 1;
    };
    connection.socket.once('close', leave);
    connection.onAuthenticated = () => {
      leave();
      onKnown();
    };
  }
}
