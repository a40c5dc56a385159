import {
  DATA_HEADER_BYTES,
  dataTypeOf,
  type Frame,
  FrameType,
  LAST_FRAGMENT,
  outputLength,
  payloadOf,
  readDataHeader,
  recycle,
} from '../kernel/frame.js';
import { DomainError } from '../kernel/errors.js';
import type { LinkListener } from '../runner-link/byte-link.js';
import type { WsConnection } from '../transport/ws-connection.js';
import type { Attachment } from './attachment.js';
import { Utf8Splitter } from './utf8-splitter.js';

/** Bytes that may wait in a client's socket before delivery stops. */
const MAX_BUFFERED = 1024 * 1024;

/**
 * Delivers one attachment to a WebSocket client. For `gatehouse.v1` the runner's frames go out as they are; the JSON
 * encoding is the only one that decodes.
 * @param onEnd called once, when nothing more will come
 */
export function deliverTo(
  connection: WsConnection,
  channel: number,
  attachment: Attachment,
  onEnd: (close: number, reason: string) => void,
): void {
  const text = connection.binary ? null : new Utf8Splitter(attachment.attached.from);
  const tell = (piece: ReturnType<Utf8Splitter['push']>): void => {
    if (piece !== null) connection.sendOutput({ type: 'output', channel, ...piece });
  };
  const screen = new ScreenText();
  const tellScreen = (whole: ReturnType<ScreenText['push']>): void => {
    if (whole !== null) connection.sendOutput({ type: 'snapshot', channel, ...whole });
  };
  const holdWhenFull = (): void => {
    if (connection.wire.writableLength <= MAX_BUFFERED) return;
    attachment.holdUntil((resume) => connection.wire.once('drain', resume));
  };
  let sent = attachment.attached.from;
  // What is held back of a split character has to come again.
  const told = (): number => text?.next ?? sent;
  let end: readonly [number, string] | null = null;
  const listener: LinkListener = {
    onData: (frame) => {
      const isOutput = dataTypeOf(frame) === FrameType.output;
      if (isOutput) sent += outputLength(frame);
      if (text === null) connection.sendFrame(frame);
      else if (isOutput) {
        tell(text.push(outputOf(frame).data));
        recycle(frame);
      } else tellScreen(screen.push(frame));
      holdWhenFull();
    },
    onControl: (message) => {
      // Others can make news for a client that reads nothing: the runner keeps it for the time being.
      holdWhenFull();
      if (message.type === 'error') {
        connection.send({ ...message, channel });
        return;
      }
      if (message.type === 'process_exited') {
        if (text !== null) tell(text.end());
        end = [1000, 'process_exited'];
      } else if (message.type === 'detached') {
        end = [new DomainError(message.code, '').answer.close, message.code];
        connection.send({ ...message, channel, offset: told() });
        return;
      }
      connection.send({ ...message, channel });
    },
    onClose: () => {
      if (end !== null) {
        onEnd(...end);
        return;
      }
      // The runner said no last word: it is gone. A client of several sessions must hear which one is meant.
      connection.send({ type: 'detached', channel, code: 'RUNNER_UNAVAILABLE', offset: told() });
      onEnd(new DomainError('RUNNER_UNAVAILABLE', '').answer.close, 'RUNNER_UNAVAILABLE');
    },
  };
  attachment.start(listener);
}

/** The offset, flags and terminal bytes of a frame of output or of a snapshot, a view on it. */
export function outputOf(frame: Frame): { offset: number; flags: number; data: Buffer } {
  const payload = payloadOf(frame);
  const { offset, flags } = readDataHeader(payload);
  return { offset, flags, data: payload.subarray(DATA_HEADER_BYTES) };
}

/** The frames of a snapshot as one text, for the JSON encoding. */
class ScreenText {
  readonly #pieces: Buffer[] = [];

  /** Takes the next frame. @returns the whole with its last one, else null */
  push(frame: Frame): { readonly offset: number; readonly next: number; readonly data: string } | null {
    const { offset, flags, data } = outputOf(frame);
    this.#pieces.push(data);
    if ((flags & LAST_FRAGMENT) === 0) return null;
    return { offset, next: offset, data: Buffer.concat(this.#pieces.splice(0)).toString('utf8') };
  }
}
