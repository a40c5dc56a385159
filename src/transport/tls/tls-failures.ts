import type { AuditTrail } from '../../kernel/audit.js';
import { Counter } from '../../kernel/counter.js';
import type { Metrics } from '../../kernel/metrics.js';
import { newContext } from '../new-context.js';

/** What a listener serves. */
export type Served = 'rest' | 'grpc';

/** Connections that did not come as far as to be served: on record and in figures. */
export class TlsFailures {
  readonly #failed = new Counter();
  readonly #cell = this.#failed.at({});

  constructor(
    private readonly audit: AuditTrail,
    metrics: Metrics,
  ) {
    metrics.count(
      { name: 'tls_handshake_failures_total', help: 'Connections that did not come to speak TLS.' },
      this.#failed,
    );
  }

  /**
   * @param address the connection's other end
   * @param reason a code of ours
   * @param detail why, in a fixed word of OpenSSL's or Node's
   */
  add(transport: Served, address: string | undefined, reason: string, detail?: string): void {
    this.#cell.value += 1;
    const context = newContext({
      ...{ transport, remoteAddress: address ?? 'unknown' },
      ...{ requestId: undefined, traceparent: undefined, userAgent: undefined },
    });
    this.audit.noteStranger(context, {
      ...{ action: 'tls.handshake_failed', resource: null, success: false, reason },
      ...(detail === undefined ? {} : { metadata: { detail } }),
    });
  }
}
