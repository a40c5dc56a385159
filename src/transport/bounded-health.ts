import type { Server, ServerWritableStream, UntypedServiceImplementation } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { DomainError } from '../kernel/errors.js';
import { newId } from '../kernel/ids.js';
import { networkOf } from '../kernel/network.js';
import { contextOfCarrier } from './execution-context.js';
import { toGrpcStatus } from './grpc-status.js';

/** Health watches that may be open at once: they need no credential. */
const MAX_WATCHES = 100;
/** Of these from one address, or network of IPv6. */
const MAX_WATCHES_EACH = 10;

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
  /** Watches by where they come from. */
  readonly #watches = new Map<string, number>();
  #open = 0;

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

  #count(network: string, by: 1 | -1): void {
    const own = (this.#watches.get(network) ?? 0) + by;
    this.#open += by;
    if (own === 0) this.#watches.delete(network);
    else this.#watches.set(network, own);
  }

  #bounded({ check, watch }: HealthHandlers): HealthHandlers {
    return {
      check: (call, answer) => {
        if (this.services.includes(call.request.service)) check(call, answer);
        else answer(toGrpcStatus(new DomainError('NOT_FOUND', 'There is no such service.'), newId()));
      },
      watch: (call) => {
        const network = networkOf(contextOfCarrier(call.metadata).remoteAddress);
        const own = this.#watches.get(network) ?? 0;
        if (this.#open >= MAX_WATCHES || own >= MAX_WATCHES_EACH) {
          const full = new DomainError('CONNECTION_LIMIT', 'Too many health watches are open.');
          call.emit('error', toGrpcStatus(full, newId()));
          return;
        }
        this.#count(network, 1);
        call.once('cancelled', () => {
          this.#count(network, -1);
        });
        if (this.services.includes(call.request.service)) watch(call);
        else call.write({ status: 'SERVICE_UNKNOWN' });
      },
    };
  }
}
