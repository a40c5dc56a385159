import type { Server, ServerWritableStream, UntypedServiceImplementation } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { DomainError } from '../kernel/errors.js';
import { newId } from '../kernel/ids.js';
import { toGrpcStatus } from './grpc-status.js';

/** Health watches that may be open at once: they need no credential. */
const MAX_WATCHES = 100;

interface HealthRequest {
  readonly service: string;
}
type WatchCall = ServerWritableStream<HealthRequest, { status: string }>;
type Check = (call: { request: HealthRequest }, answer: (error: unknown, value?: unknown) => void) => void;
interface HealthHandlers {
  readonly check: Check;
  readonly watch: (call: WatchCall) => void;
}

/**
 * The standard health service, bounded: anybody may call it. The library keeps every watch, every name ever watched, and
 * repeats a name of any length in its answer.
 */
export class BoundedHealth extends HealthImplementation {
  #watches = 0;

  /** @param services the names that can be asked for; there are no others */
  constructor(private readonly services: readonly string[]) {
    super(Object.fromEntries(services.map((service) => [service, 'NOT_SERVING' as const])));
  }

  override addToServer(server: Server): void {
    const addService = (definition: Parameters<Server['addService']>[0], handlers: object): void => {
      server.addService(definition, {
        ...handlers,
        ...this.#bounded(handlers as HealthHandlers),
      } as UntypedServiceImplementation);
    };
    super.addToServer({ addService });
  }

  #bounded({ check, watch }: HealthHandlers): HealthHandlers {
    return {
      check: (call, answer) => {
        if (this.services.includes(call.request.service)) check(call, answer);
        else answer(toGrpcStatus(new DomainError('NOT_FOUND', 'There is no such service.'), newId()));
      },
      watch: (call) => {
        if (this.#watches >= MAX_WATCHES) {
          const full = new DomainError('CONNECTION_LIMIT', 'Too many health watches are open.');
          call.emit('error', toGrpcStatus(full, newId()));
          return;
        }
        this.#watches += 1;
        call.once('cancelled', () => (this.#watches -= 1));
        if (this.services.includes(call.request.service)) watch(call);
        else call.write({ status: 'SERVICE_UNKNOWN' });
      },
    };
  }
}
