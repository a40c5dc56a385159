import { open } from 'node:fs/promises';
import { type BeforeApplicationShutdown, Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../../config/load.js';
import { TenantScope } from '../../database/tenant-scope.js';
import type { Clock } from '../../kernel/clock.js';
import type { Log } from '../../kernel/log.js';
import { CLOCK, NODE_NAME } from '../../kernel/tokens.js';
import { AUDIT_LOG } from '../record/audit-log.js';
import { AuditWriter } from '../record/audit-writer.js';
import type { ChainHead } from './chain.js';
import { signCheckpoint } from './checkpoint.js';
import { EventStore } from './event-store.js';
import { type Signed, SigningKey } from './signing-key.js';

/** Contract: audit, "Tamper evidence". */
const EVERY_EVENTS = 1000;
const EVERY_MS = 60_000;

/**
 * Signs how far this node's chain goes, every 1,000 events and every minute that has any, into the database, the log, and a
 * file elsewhere: a tail that is cut off behind it shows.
 */
@Injectable()
export class Checkpoints implements BeforeApplicationShutdown {
  /** What was signed last; null: nothing by this process. */
  #signed: ChainHead | null = null;
  #signing: Promise<void> | null = null;
  /** Whether the last one could not be written everywhere. */
  #failed = false;
  readonly #timer: NodeJS.Timeout;

  constructor(
    private readonly store: EventStore,
    private readonly writer: AuditWriter,
    private readonly scope: TenantScope,
    private readonly key: SigningKey,
    @Inject(NODE_NAME) private readonly node: string,
    @Inject(CONFIG) private readonly config: Pick<Config, 'AUDIT_CHECKPOINT_FILE'>,
    @Inject(AUDIT_LOG) private readonly log: Log,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.#timer = setInterval(() => void this.sign(), EVERY_MS);
    this.#timer.unref();
    store.onAppended(({ seq }) => {
      // What failed is tried again after a minute, not at every event.
      if (!this.#failed && this.#signing === null && seq - (this.#signed?.seq ?? 0) >= EVERY_EVENTS) void this.sign();
    });
  }

  /** The last one is signed when everything is written. */
  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.#timer);
    await this.writer.flush();
    await this.#signing;
    await this.sign();
  }

  /** Signs where the chain ends, if it was not signed before; one at a time. */
  sign(): Promise<void> {
    this.#signing ??= this.#sign().finally(() => {
      this.#signing = null;
    });
    return this.#signing;
  }

  async #sign(): Promise<void> {
    const end = this.store.end;
    if (end === null || end.seq === this.#signed?.seq) return;
    const { seq, hash } = end;
    const count = seq - (this.#signed?.seq ?? 0);
    const time = new Date(this.clock.now()).toISOString();
    const signed = signCheckpoint(this.key, { node: this.node, seq, hash, count, time });
    this.#failed = true;
    try {
      await this.#store(seq, signed);
      this.#signed = end;
      this.log.info({ auditCheckpoint: signed }, 'audit checkpoint');
      await this.#keepElsewhere(signed);
      this.#failed = false;
    } catch (error) {
      this.log.error({ err: error, seq }, 'an audit checkpoint could not be written');
    }
  }

  async #store(seq: number, { document, key_id, signature }: Signed): Promise<void> {
    await this.scope.system((manager) =>
      manager.query(
        `INSERT INTO audit_checkpoints (node, seq, document, key_id, signature) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT DO NOTHING`,
        [this.node, seq, document, key_id, signature],
      ),
    );
  }

  async #keepElsewhere(signed: Signed): Promise<void> {
    const { AUDIT_CHECKPOINT_FILE: path } = this.config;
    if (path === undefined) return;
    const file = await open(path, 'a', 0o600);
    try {
      await file.appendFile(`${JSON.stringify(signed)}\n`);
      await file.datasync();
    } finally {
      await file.close();
    }
  }
}
