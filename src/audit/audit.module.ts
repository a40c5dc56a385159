import { Global, Module } from '@nestjs/common';
import { AuditTrail } from '../kernel/audit.js';
import { AuditInterceptor } from './audit.interceptor.js';
import { AuditRecorder } from './audit-recorder.js';
import { AuditWriter } from './audit-writer.js';

@Global()
@Module({
  providers: [AuditWriter, { provide: AuditTrail, useClass: AuditRecorder }, AuditInterceptor],
  exports: [AuditTrail, AuditInterceptor, AuditWriter],
})
export class AuditModule {}
