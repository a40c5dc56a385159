/**
 * The control messages of the byte link between gateway and runner, JSON in text frames (kernel/frame.ts).
 * One connection carries one attachment. The first message is `attach`; the runner answers `attached` or `refused`.
 */
import type { ErrorCode } from './errors.js';

export type AttachMode = 'controller' | 'viewer';

/** Names of the runner's two sockets in its folder: control by gRPC, and this link. */
export const CONTROL_SOCKET = 'control.sock';
export const BYTES_SOCKET = 'bytes.sock';

/** Exit codes of a runner that was asked for a sandbox and cannot make one: what it lacks. */
export const EXIT_NO_BUBBLEWRAP = 69;
export const EXIT_NO_NAMESPACES = 71;
export const EXIT_SHOWS_HIDDEN = 78;

/** What a session runs in: nothing of its own, or a sandbox made by bubblewrap. */
export const SANDBOXES = ['none', 'bwrap'] as const;
export type SandboxKind = (typeof SANDBOXES)[number];

/** What the two sides say to each other over TLS, so that a port is never taken for the other one (ALPN, RFC 7301). */
export const CONTROL_PROTOCOL = 'h2';
export const BYTES_PROTOCOL = 'gatehouse.link.v1';

/** Flag of an input frame whose offset says nothing: its bytes follow on what came before. */
export const UNSEQUENCED = 1;

/** Longest frame on the link, payload bytes. */
export const MAX_LINK_FRAME = 1024 * 1024 + 64;

export interface LinkAttach {
  readonly type: 'attach';
  readonly session: string;
  /** Stamped into every data frame, so that it is ready for the client's socket. */
  readonly channel: number;
  /** First byte wanted; absent: the screen as it is, then what follows. */
  readonly from?: number | undefined;
  /** Who the client is, told to the others. */
  readonly user: string;
  /** Absent: controller if free and `may_control`, else viewer. */
  readonly mode?: AttachMode | undefined;
  /** Whether the gateway permits this client to be controller. */
  readonly may_control: boolean;
  readonly cols?: number | undefined;
  readonly rows?: number | undefined;
  readonly epoch?: string | undefined;
  readonly writer_id?: string | undefined;
  /** True: the output itself, never a screen. Without `from`, or where that is gone, output begins at the oldest retained byte. */
  readonly raw?: boolean | undefined;
}

/** Gateway to runner. Input travels as data frames of type `input`, offset = input position or {@link UNSEQUENCED}. */
export type LinkRequest =
  | LinkAttach
  | { readonly type: 'resize'; readonly cols: number; readonly rows: number }
  | { readonly type: 'take_control' }
  /** Whether the client may be controller from now on; the one that is and may not any more becomes viewer. */
  | { readonly type: 'permit'; readonly may_control: boolean }
  | { readonly type: 'ack'; readonly offset: number };

export interface LinkAttached {
  readonly type: 'attached';
  readonly session: string;
  readonly epoch: string;
  /** Names it within the session. */
  readonly attachment: number;
  readonly mode: AttachMode;
  /** Offset of the first byte of output that follows. */
  readonly from: number;
  /** A screen for a terminal of `cols` and `rows` comes first. */
  readonly snapshot: boolean;
  readonly dropped_before: number;
  readonly cols: number;
  readonly rows: number;
  readonly input_next: number;
}

export interface ProcessExited {
  readonly type: 'process_exited';
  readonly exit_code: number | null;
  readonly signal: string | null;
  readonly reason: string;
}

/** One client of a session. */
export interface Participant {
  readonly attachment: number;
  readonly user_id: string;
  readonly mode: AttachMode;
  /** Of its own terminal, null when it did not say. */
  readonly cols: number | null;
  readonly rows: number | null;
}

/** Who is attached, after it changed. Some of them when they are very many. */
export interface Participants {
  readonly type: 'participants';
  readonly participants: readonly Participant[];
  readonly total: number;
}

/** The program waits for the controller, or goes on; told when it has taken a while. */
export interface LinkFlowControl {
  readonly type: 'flow_control';
  readonly action: 'pause' | 'resume';
  readonly reason: string;
}

/** One frame was refused; the attachment goes on. */
export interface LinkError {
  readonly type: 'error';
  readonly code: ErrorCode;
  readonly message: string;
  /** When input was refused: the position from which a named writer is to send again. */
  readonly input_next?: number;
}

/** Runner to gateway. Output travels as data frames of type `output`, a screen as some of type `snapshot`. */
export type LinkResponse =
  | LinkAttached
  | { readonly type: 'refused'; readonly code: ErrorCode; readonly message: string }
  | LinkError
  /** Everything a named writer sent before this position has been applied. Coalesced. */
  | { readonly type: 'input_ack'; readonly input_next: number }
  /** Follows `attached` while the program runs. */
  | { readonly type: 'process_started'; readonly pid: number }
  | { readonly type: 'mode_changed'; readonly mode: AttachMode; readonly reason: string }
  | Participants
  | LinkFlowControl
  | { readonly type: 'detached'; readonly code: ErrorCode; readonly offset: number }
  | ProcessExited;
