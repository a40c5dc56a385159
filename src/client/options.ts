import type { End } from './end.js';
import type { Mode, Participant } from './messages.js';
import type { OpenSocket } from './socket.js';
import type { Snapshot } from './snapshot.js';
import type { Timing } from './timing.js';

/**
 * A token, key or ticket; or what gets one, called anew for every connection and before one in use expires. A rejection,
 * or no answer within 30 seconds, is taken for a connection that failed and tried again, unless it is an `AttachError`,
 * which ends the attachment.
 */
export type Credential = string | (() => Promise<string>);

/** Columns and rows of a terminal. */
export interface Size {
  readonly cols: number;
  readonly rows: number;
}

export interface AttachOptions {
  /** Of the server: `https://host`, with a path when a proxy serves it under one. */
  readonly url: string;
  /** The session's id. */
  readonly session: string;
  /** Sent as the first message. Left out when `openSocket` puts it into a header. */
  readonly credential?: Credential;
  /** How to open a WebSocket; the global one by default. */
  readonly openSocket?: OpenSocket;
  /**
   * Offset of the first byte of output wanted, 0 for all there ever was. Left out: a snapshot of the screen, then what
   * is new. Output that the server has no more is replaced by a snapshot in either case.
   */
  readonly from?: number;
  /** `viewer` never asks for control by itself. Left out: controller if nobody else is. */
  readonly mode?: Mode;
  /** Take control from whoever has it. */
  readonly take?: boolean;
  /** The size of the terminal shown; the controller's is the session's. */
  readonly size?: Size;
  /** How long to try to come back after a connection was lost; 10 minutes by default. */
  readonly giveUpAfterMs?: number;
  /** Whether a server that cannot be reached in the first place is tried again, like one that was lost. */
  readonly retryFirst?: boolean;
  /** Clock and chance, for tests. */
  readonly timing?: Timing;
}

/** What an attachment is, each time that it begins. */
export interface Attached {
  readonly mode: Mode;
  /** Whether it comes back after a lost connection. */
  readonly again: boolean;
  /** The session's size. */
  readonly cols: number;
  readonly rows: number;
  /** Its number in the list of participants; null when the server does not number them. */
  readonly attachment: number | null;
}

/** What the server did not do, while the attachment goes on. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
}

/** What the application does with what comes. Output and snapshots have to be handled, the rest may be. */
export interface AttachListener {
  /**
   * Output, in order, each byte once.
   * @param done to be called when it is rendered: a program whose controller has much unrendered output is made to wait
   */
  onOutput(bytes: Uint8Array, done: () => void): void;
  /** The terminal is to be reset to this size and these bytes written to it; output goes on from there. */
  onSnapshot(snapshot: Snapshot, done: () => void): void;
  /** Called once, when there will be no more. */
  onEnd(end: End): void;
  onAttached?(attached: Attached): void;
  /** The connection is lost; the next attempt is made in so many milliseconds. */
  onDisconnected?(retryInMs: number): void;
  /** @param reason `taken`, `taken_over` or `permission_lost` */
  onModeChanged?(mode: Mode, reason: string): void;
  /** Who is attached; of many, not all are listed. */
  onParticipants?(participants: readonly Participant[], total: number): void;
  /** The program is made to wait for its controller, or goes on. */
  onFlowControl?(action: 'pause' | 'resume', reason: string): void;
  /** There is room again for input that was `full`. */
  onRoom?(): void;
  /** So many bytes at most that had been `taken` will not be typed: control was lost, or the session forgot about us. */
  onInputLost?(bytes: number): void;
  onRefused?(refusal: Refusal): void;
}
