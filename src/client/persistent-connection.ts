import { Backoff } from './backoff.js';
import { afterClose, afterRefusal, type Away, away, type Verdict } from './closing.js';
import { Connection } from './connection.js';
import { AttachError } from './errors.js';
import type { DataFrame } from './frames.js';
import { inTime } from './in-time.js';
import type { ErrorMessage, ServerMessage } from './messages.js';
import type { Credential } from './options.js';
import { Renewal } from './renewal.js';
import type { OpenSocket } from './socket.js';
import type { Timing } from './timing.js';

export interface PersistentOptions {
  readonly credential: Credential | undefined;
  readonly openSocket: OpenSocket;
  readonly giveUpAfterMs: number;
  readonly retryFirst: boolean;
  readonly timing: Timing;
}

export interface PersistentListener {
  /** Where to connect to, asked for every connection. */
  address(): string;
  onMessage(message: ServerMessage): void;
  onFrame(frame: DataFrame): void;
  /** The connection is lost. Another attempt is made in so many milliseconds. */
  onLost(retryInMs: number): void;
  /** There will be no more. */
  onFailed(error: AttachError): void;
}

/** What gets a credential may take so long; a function that never answers must not end all attempts. */
const CREDENTIAL_MS = 30_000;

/** A connection that comes back: after a cut with growing pauses, after `goaway` when the server said so. */
export class PersistentConnection {
  readonly #backoff: Backoff;
  readonly #renewal: Renewal;
  #credential: Credential | undefined;
  #connection: Connection | null = null;
  /** Whether any server was ever reached. */
  #reached = false;
  /** The credential of this connection was good. */
  #welcome = false;
  #told: ErrorMessage | null = null;
  #cancelRetry: (() => void) | null = null;
  #over = false;
  readonly #closed = new AbortController();

  constructor(
    private readonly options: PersistentOptions,
    private readonly listener: PersistentListener,
  ) {
    this.#credential = options.credential;
    this.#backoff = new Backoff(options.giveUpAfterMs, options.timing);
    this.#renewal = new Renewal(options.timing, () => void this.#renewOpen());
  }

  /** Connects. Called once; later connections are made by themselves. */
  connect(): void {
    void this.#connect();
  }

  /** The connection does what it is for; attempts begin anew when it is lost. */
  works(): void {
    this.#welcome = true;
    this.#backoff.connected();
  }

  /** @returns false when there is no connection */
  send(message: object): boolean {
    return this.#connection?.send(message) ?? false;
  }

  /** @returns false when there is no connection */
  sendFrame(frame: Uint8Array<ArrayBuffer>): boolean {
    return this.#connection?.sendFrame(frame) ?? false;
  }

  /** Uses another credential of the same principal, on the open connection and for those to come. */
  renew(credential: Credential): void {
    this.#credential = credential;
    void this.#renewOpen();
  }

  /** Closes it for good, without a last word. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#closed.abort();
    this.#renewal.stop();
    this.#cancelRetry?.();
    this.#connection?.close();
    this.#connection = null;
  }

  async #connect(): Promise<void> {
    this.#cancelRetry = null;
    let token: string | null;
    try {
      token = await this.#token();
    } catch (error) {
      if (this.#over) return;
      if (error instanceof AttachError) this.#fail(error);
      else this.#again(away(null), new AttachError('unreachable', 'no credential could be had', { cause: error }));
      return;
    }
    if (this.#over) return;
    try {
      this.#open(token);
    } catch (cause) {
      // A browser does so for an address that the page may not connect to, and would do it again.
      this.#fail(new AttachError('unreachable', 'the browser or system refused to open a WebSocket', { cause }));
    }
  }

  #open(token: string | null): void {
    this.#told = null;
    this.#welcome = false;
    const { openSocket, timing } = this.options;
    this.#connection = new Connection(this.listener.address(), openSocket, timing, {
      onOpen: () => {
        this.#reached = true;
        if (token !== null) this.send({ type: 'authenticate', token });
      },
      onMessage: (message) => {
        this.#onMessage(message);
      },
      onFrame: (frame) => {
        this.listener.onFrame(frame);
      },
      onRefused: (status, body) => {
        this.#reached = true;
        this.#ended(afterRefusal(status, body));
      },
      onMalformed: (error) => {
        this.#ended(error);
      },
      onClosed: (closeCode, reason) => {
        const renewable = this.#welcome && typeof this.#credential === 'function';
        this.#ended(afterClose({ closeCode, reason, told: this.#told, renewable }));
      },
    });
  }

  #onMessage(message: ServerMessage): void {
    if (message.type === 'authenticated' && typeof this.#credential === 'function') {
      this.#renewal.expiresAt(message.expiresAt);
    } else if (message.type === 'error') {
      this.#told = message;
    } else if (message.type === 'goaway') {
      this.#goAway(away(message.resumeAfterMs).notBeforeMs);
      return;
    }
    this.listener.onMessage(message);
  }

  /** The server closes the connection itself, a little later, after its last output. */
  #goAway(milliseconds: number): void {
    this.#cancelRetry?.();
    this.#cancelRetry = this.options.timing.after(milliseconds, () => {
      const left = this.#connection;
      this.#connection = null;
      if (left !== null) {
        left.close();
        this.#renewal.stop();
        this.listener.onLost(0);
      }
      void this.#connect();
    });
  }

  #ended(verdict: Verdict): void {
    this.#connection = null;
    this.#renewal.stop();
    if (verdict instanceof AttachError) this.#fail(verdict);
    else this.#again(verdict);
  }

  #again({ notBeforeMs }: Away, first = new AttachError('unreachable', 'the server cannot be reached')): void {
    // After `goaway` the time to come back is set already.
    if (this.#cancelRetry !== null) {
      this.listener.onLost(notBeforeMs);
      return;
    }
    if (!this.#reached && !this.options.retryFirst) {
      this.#fail(first);
      return;
    }
    const wait = this.#backoff.next();
    if (wait === null) {
      this.#fail(new AttachError('gave_up', 'the server did not come back; the session may still run'));
      return;
    }
    const delay = Math.max(wait, notBeforeMs);
    this.#cancelRetry = this.options.timing.after(delay, () => void this.#connect());
    this.listener.onLost(delay);
  }

  #fail(error: AttachError): void {
    this.close();
    this.listener.onFailed(error);
  }

  /** What there is to say is said by the end of the old credential, should a fresh one not be had. */
  async #renewOpen(): Promise<void> {
    const before = this.#connection;
    const token = await this.#token().catch(() => null);
    if (token !== null && before !== null && before === this.#connection) before.send({ type: 'authenticate', token });
  }

  async #token(): Promise<string | null> {
    const credential = this.#credential;
    if (typeof credential !== 'function') return credential ?? null;
    return inTime(credential(), CREDENTIAL_MS, this.options.timing, this.#closed.signal);
  }
}
