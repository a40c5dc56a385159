import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { TenantScope } from '../database/tenant-scope.js';
import { AuditTrail } from '../kernel/audit.js';
import { systemContext } from '../kernel/request-context.js';
import { EXPIRING_DAYS } from './api-key-view.js';

const LOOK_EVERY_MS = 3_600_000;
/** Keys that are noted in one statement. */
const BATCH = 500;

/** Marks keys as noted today, so that of several gateways one notes each. */
const NOTE = `
  UPDATE api_keys SET expiring_noted_on = (now() AT TIME ZONE 'UTC')::date
  WHERE id IN (
    SELECT id FROM api_keys
    WHERE revoked_at IS NULL AND rotated_to IS NULL
      AND expires_at > now() AND expires_at <= now() + interval '${EXPIRING_DAYS} days'
      AND expiring_noted_on IS DISTINCT FROM (now() AT TIME ZONE 'UTC')::date
    ORDER BY id LIMIT ${BATCH} FOR UPDATE SKIP LOCKED)
  RETURNING id, tenant, name, expires_at`;

interface Expiring {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly expires_at: Date;
}

/** Puts on record, once a day, which keys end within a week. */
@Injectable()
export class KeyExpiryWatch implements OnApplicationBootstrap, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(
    private readonly scope: TenantScope,
    private readonly audit: AuditTrail,
    private readonly logger: PinoLogger,
  ) {}

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => void this.look(), LOOK_EVERY_MS).unref();
    void this.look();
  }

  onModuleDestroy(): void {
    this.#closed = true;
    clearInterval(this.#timer);
  }

  /** Notes the keys that were not noted today. Never rejects: the next look has what this one could not have. */
  async look(): Promise<void> {
    try {
      while (!this.#closed && (await this.#noteSome()) === BATCH);
    } catch (error) {
      if (!this.#closed) this.logger.warn({ err: error }, 'keys that expire soon were not noted');
    }
  }

  async #noteSome(): Promise<number> {
    // TypeORM answers an UPDATE with its rows and their number.
    const [rows] = await this.scope.system((manager) => manager.query<[Expiring[], number]>(NOTE));
    for (const { id, tenant, name, expires_at } of rows) {
      const metadata = { name, expires_at: expires_at.toISOString() };
      this.audit.note(systemContext(), {
        action: 'api_key.expiring',
        resource: `api_key:${id}`,
        success: true,
        tenant,
        metadata,
      });
    }
    return rows.length;
  }
}
