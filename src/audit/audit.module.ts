import { Global, Module } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { AuditTrail } from '../kernel/audit.js';
import { AUDIT_LOG, auditLog } from './audit-log.js';
import { AuditInterceptor } from './audit.interceptor.js';
import { AuditRecorder } from './audit-recorder.js';
import { AuditWriter } from './audit-writer.js';

@Global()
@Module({
  providers: [
    { provide: AUDIT_LOG, inject: [PinoLogger], useFactory: auditLog },
    AuditWriter,
    { provide: AuditTrail, useClass: AuditRecorder },
    AuditInterceptor,
  ],
  exports: [AuditTrail, AuditInterceptor, AuditWriter],
})
export class AuditModule {}
