import { once } from 'node:events';
import { setTimeout as later } from 'node:timers/promises';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { z } from 'zod';
import type { AttachRequest__Output } from '../generated/gatehouse/pty/v1/AttachRequest.js';
import type { AttachResponse } from '../generated/gatehouse/pty/v1/AttachResponse.js';
import { logFields } from '../kernel/current-context.js';
import { DomainError } from '../kernel/errors.js';
import { dataTypeOf, FrameType, LAST_FRAGMENT } from '../kernel/frame.js';
import type { CallerContext } from '../kernel/request-context.js';
import type { LinkListener } from '../runner-link/byte-link.js';
import { toDomainError } from '../transport/error-mapping.js';
import { StreamPace } from '../transport/stream-pace.js';
import { parse } from '../transport/validation.js';
import type { Attachment } from './attachment.js';
import { AttachedStream, type StreamServices } from './attached-stream.js';
import { outputOf } from './attachment-output.js';
import { attachSchema, frameSchemas } from './pty.schema.js';
import { authenticateOpen } from './renewal.js';
import { attachedToProto, controlToProto } from './attachment-proto.js';
import { plainEnum, timestamp } from '../kernel/proto-values.js';

export type AttachCall = ServerDuplexStream<AttachRequest__Output, AttachResponse>;

const renewSchema = z.strictObject({ token: z.string().min(1) });

/** How long a stream may attach to nothing. */
const FIRST_FRAME_MS = 10_000;

/** One `Attach` stream. Frames are handled strictly in order: the call is not read while one is under way. */
export class GrpcAttachment extends AttachedStream<AttachResponse> {
  #work: Promise<void> = Promise.resolve();
  readonly #firstFrame: NodeJS.Timeout;
  readonly #pace: StreamPace;
  #busy = false;

  constructor(
    private readonly call: AttachCall,
    caller: CallerContext,
    services: StreamServices,
    onEnd: () => void,
  ) {
    super(call, caller, services, onEnd);
    this.#pace = new StreamPace(services.pace, this);
    this.#firstFrame = setTimeout(() => {
      this.fail(new DomainError('NOT_ATTACHED', 'No frame came.'));
    }, FIRST_FRAME_MS);
    call.on('data', (frame: AttachRequest__Output) => {
      clearTimeout(this.#firstFrame);
      this.#receive(frame);
    });
    call.on('end', () => {
      // A client that has nothing more to send may still want to see the end; without an attachment there is none.
      void this.#work.then(() => {
        if (this.attachment === null) this.finish();
      });
    });
  }

  async #renew(body: unknown): Promise<void> {
    const { token } = parse(renewSchema, body);
    await authenticateOpen(this.caller, token, this.services, () => !this.ended);
    if (this.ended) return;
    this.expireWithCredential();
    const { subject, expiresAt } = this.caller.principal;
    const ends = expiresAt === null ? {} : { expires_at: timestamp(expiresAt.toISOString()) };
    this.send({ authenticated: { user_id: subject, ...ends } });
    this.recheck();
  }

  #receive(frame: AttachRequest__Output): void {
    this.call.pause();
    this.#busy = true;
    this.#work = this.#work
      .then(() => this.#inPace(frame))
      .catch((thrown: unknown) => this.#refuse(thrown))
      .finally(() => {
        this.#busy = false;
        this.call.resume();
      });
  }

  /** A client that sends faster than it may is handled more slowly, and in the end not any more. */
  async #inPace(frame: AttachRequest__Output): Promise<void> {
    if (this.ended) return;
    const wait = this.#waitFor(frame);
    if (wait === null) {
      const error = new DomainError('RATE_LIMIT', 'Too many messages for too long.');
      this.services.limits.tooFast(this.caller, error);
      this.fail(error);
      return;
    }
    if (wait > 0) await later(wait);
    await this.#handle(frame);
  }

  /** Counts a frame. Only input that goes to a program is counted by its size. */
  #waitFor(frame: AttachRequest__Output): number | null {
    const { data } = frame.input ?? {};
    if (data !== undefined && this.attachment?.mayType === true) return this.#pace.input(data.length);
    return this.#pace.message(Object.keys(frame)[0] ?? '');
  }

  /** Whether a frame waits to be handled. */
  get waiting(): boolean {
    return this.#busy;
  }

  /** Tells the client that it sends too fast, or does not any more. */
  tellPace(action: 'pause' | 'resume'): void {
    this.send({ flow_control: { action, reason: 'rate_limit' } });
  }

  /** Before the attachment an error ends the stream; after it, only the frame is refused. */
  async #refuse(thrown: unknown): Promise<void> {
    const error = toDomainError(thrown);
    if (error.code === 'INTERNAL_ERROR') {
      this.services.logger.error({ err: thrown, ...logFields(this.caller) }, 'attach frame failed');
    }
    if (this.attachment === null) this.fail(error);
    else this.send({ error: { code: error.code, message: error.message } });
    // A client that does not read what its frames are answered is not read from either.
    if (!this.ended && this.call.writableNeedDrain) await once(this.call, 'drain').catch(() => undefined);
  }

  async #handle(frame: AttachRequest__Output): Promise<void> {
    if (this.ended) return;
    const kinds = Object.keys(frame);
    const [kind] = kinds;
    if (kind === undefined || kinds.length > 1)
      throw new DomainError('INVALID_ARGUMENT', 'frame: exactly one is needed.');
    const body: unknown = frame[kind as keyof typeof frame];
    if (kind === 'attach') {
      await this.#attach(body);
      return;
    }
    const attachment = this.attachment;
    if (attachment === null) throw new DomainError('NOT_ATTACHED', 'The first frame must be attach.');
    if (kind === 'authenticate') {
      await this.#renew(body);
      return;
    }
    switch (kind) {
      case 'input': {
        const { data, offset } = parse(frameSchemas.input, body);
        if (!attachment.input(data, offset ?? null)) await attachment.drained();
        return;
      }
      case 'resize': {
        const { cols, rows } = parse(frameSchemas.resize, body);
        await attachment.resize(cols, rows);
        return;
      }
      case 'ack':
        // Zero is not on the wire in proto3.
        await attachment.ack(parse(frameSchemas.ack, { offset: 0, ...Object(body) }).offset);
        return;
      case 'take_control':
        await attachment.takeControl();
        return;
      default:
        await this.#audited(kind, body, attachment);
    }
  }

  /** `signal` and `kill` change something that others see: their outcome is on record. */
  async #audited(kind: string, body: unknown, attachment: Attachment): Promise<void> {
    const { sessions, audit } = this.services;
    const { id } = attachment.resource;
    const resource = `session:${id}`;
    if (kind === 'signal') {
      attachment.require('pty:signal');
      const { signal } = parse(frameSchemas.signal, body);
      await audit.outcome(this.caller, { action: 'pty.signal', resource }, () =>
        sessions.signal(this.caller, { id, signal }),
      );
    } else if (kind === 'kill') {
      attachment.require('pty:kill');
      parse(z.strictObject({}), body);
      await audit.outcome(this.caller, { action: 'pty.kill', resource }, () => sessions.kill(this.caller, { id }));
    } else throw new DomainError('INVALID_ARGUMENT', 'frame: there is no such frame.');
  }

  async #attach(body: unknown): Promise<void> {
    if (this.attachment !== null) throw new DomainError('INVALID_ARGUMENT', 'attach: this stream is attached already.');
    const request = typeof body === 'object' && body !== null ? { ...body } : {};
    const mode = plainEnum('mode' in request ? request.mode : undefined, 'ATTACH_MODE_');
    const command = parse(attachSchema, { ...request, mode });
    const attachment = await this.services.attachments.open(this.caller, command, 0);
    if (!this.adopt(attachment)) return;
    this.send(attachedToProto(attachment.attached));
    attachment.start(this.#listener());
  }

  #listener(): LinkListener {
    let telling = false;
    let last: DomainError | null = new DomainError('RUNNER_UNAVAILABLE', 'The runner cannot be reached.');
    return {
      onData: (frame) => {
        const { offset, flags, data } = outputOf(frame);
        if (dataTypeOf(frame) === FrameType.output) this.send({ output: { offset, data } });
        else this.send({ snapshot: { offset, data, last: (flags & LAST_FRAGMENT) !== 0 } });
      },
      onControl: (message) => {
        if (message.type === 'process_exited') last = null;
        if (message.type !== 'detached') {
          this.send(controlToProto(message));
          return;
        }
        telling = true;
        const end = new DomainError(message.code, 'The attachment was ended; resume at the offset given.');
        // Not before the frame is on its way: grpc-js drops what still waits when a call ends with an error.
        this.send(controlToProto(message), () => {
          this.fail(end);
        });
      },
      onClose: () => {
        if (telling) return;
        if (last === null) this.finish();
        else this.fail(last);
      },
    };
  }

  protected override release(): void {
    clearTimeout(this.#firstFrame);
    this.#pace.end();
  }
}
