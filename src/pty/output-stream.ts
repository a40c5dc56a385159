import { Metadata, type ServerWritableStream } from '@grpc/grpc-js';
import type { StreamOutputResponse } from '../generated/gatehouse/pty/v1/StreamOutputResponse.js';
import { logFields } from '../kernel/current-context.js';
import { DomainError } from '../kernel/errors.js';
import type { CallerContext } from '../kernel/request-context.js';
import type { LinkListener } from '../runner-link/byte-link.js';
import { toDomainError } from '../transport/error-mapping.js';
import { AttachedStream, type StreamServices } from './attached-stream.js';
import { outputOf } from './attachment-output.js';
import type { StreamOutputCommand } from './pty.schema.js';
import { exitedToProto } from './attachment-proto.js';

export type OutputCall = ServerWritableStream<unknown, StreamOutputResponse>;

/** One `StreamOutput` call: a viewer that sees bytes and the end, and nothing else. */
export class OutputStream extends AttachedStream<StreamOutputResponse> {
  constructor(
    private readonly call: OutputCall,
    caller: CallerContext,
    services: StreamServices,
    onEnd: () => void,
  ) {
    super(call, caller, services, onEnd);
  }

  /** Attaches, and delivers until the end. */
  async open({ id, from }: StreamOutputCommand): Promise<void> {
    // Who gave up before there was anybody to tell is not told of again.
    if (this.call.cancelled) this.finish();
    if (this.ended) return;
    try {
      const { attachments } = this.services;
      const viewer = { session: id, from, mode: 'viewer' } as const;
      const attachment = await attachments.open(this.caller, viewer, 0, { bytesOnly: true });
      if (!this.adopt(attachment)) return;
      // A session may be silent for long: the client is told now that it is attached.
      this.call.sendMetadata(new Metadata());
      attachment.start(this.#listener());
    } catch (thrown) {
      const error = toDomainError(thrown);
      if (error.code === 'INTERNAL_ERROR') {
        this.services.logger.error({ err: thrown, ...logFields(this.caller) }, 'output stream failed');
      }
      this.fail(error);
    }
  }

  #listener(): LinkListener {
    let last: DomainError | null = new DomainError('RUNNER_UNAVAILABLE', 'The runner cannot be reached.');
    return {
      onData: (frame) => {
        const { offset, data } = outputOf(frame);
        this.send({ output: { offset, data } });
      },
      onControl: (message) => {
        if (message.type === 'process_exited') {
          last = null;
          this.send({ process_exited: exitedToProto(message) });
        } else if (message.type === 'detached') {
          last = new DomainError(message.code, 'The stream was ended; go on at the offset after your last byte.');
        }
      },
      onClose: () => {
        if (last === null) this.finish();
        else this.fail(last);
      },
    };
  }
}
