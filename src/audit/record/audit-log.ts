import { PinoLogger } from 'nestjs-pino';
import type { Log } from '../../kernel/log.js';

/** Injection token of the audit trail's log. */
export const AUDIT_LOG = Symbol('AUDIT_LOG');

/** The log for audit events and for what threatens them: the same lines as every other, but LOG_LEVEL hides none. */
export const auditLog = (logger: PinoLogger): Log => logger.logger.child({}, { level: 'info' });
