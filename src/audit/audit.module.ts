import { type DynamicModule, Global, Module } from '@nestjs/common';
import { join } from 'node:path';
import { PinoLogger } from 'nestjs-pino';
import { CONFIG, type Config } from '../config/load.js';
import type { YamlFile } from '../config/yaml-file.js';
import type { DataSource } from 'typeorm';
import { TRAIL_SOURCE } from '../database/database.module.js';
import { TenantScope } from '../database/tenant-scope.js';
import { AuditTrail } from '../kernel/audit.js';
import { NODE_NAME } from '../kernel/tokens.js';
import { AUDIT_LOG, auditLog } from './record/audit-log.js';
import { AuditInterceptor } from './audit.interceptor.js';
import { AuditMetrics } from './audit-metrics.js';
import { type AlertConfig, ALERTS_FILE } from './alerts/alert-file.js';
import { Alerts } from './alerts/alerts.js';
import { Dormancy } from './alerts/dormancy.js';
import { AuditRecorder } from './record/audit-recorder.js';
import { Checkpoints } from './chain/checkpoints.js';
import { EventStore } from './chain/event-store.js';
import { SigningKey } from './chain/signing-key.js';
import { AuditWriter } from './record/audit-writer.js';
import { Spool } from './record/spool.js';

@Global()
@Module({
  providers: [
    { provide: AUDIT_LOG, inject: [PinoLogger], useFactory: auditLog },
    {
      provide: EventStore,
      inject: [TRAIL_SOURCE, NODE_NAME],
      useFactory: (trail: DataSource, node: string) => new EventStore(new TenantScope(trail), trail, node),
    },
    {
      provide: Spool,
      inject: [CONFIG],
      useFactory: ({ dataDir, AUDIT_SPOOL_MAX_BYTES }: Config) =>
        Spool.open(join(dataDir, 'audit'), AUDIT_SPOOL_MAX_BYTES),
    },
    AuditWriter,
    AuditMetrics,
    { provide: SigningKey, inject: [CONFIG], useFactory: (config: Config) => SigningKey.load(config) },
    Checkpoints,
    { provide: AuditTrail, useClass: AuditRecorder },
    AuditInterceptor,
    Dormancy,
    Alerts,
  ],
  exports: [AuditTrail, AuditInterceptor, AuditWriter, EventStore, AUDIT_LOG, SigningKey],
})
export class AuditModule {
  /** @param alerts alerts.yaml, opened and right */
  static with(alerts: YamlFile<AlertConfig>): DynamicModule {
    return { module: AuditModule, providers: [{ provide: ALERTS_FILE, useValue: alerts }] };
  }
}
