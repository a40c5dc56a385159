import { Module } from '@nestjs/common';
import { Months } from '../retention/months.js';
import { VerificationController } from './verification.controller.js';
import { VerificationService } from './verification.service.js';

/** The proof that the trail is whole, and its retention, which keeps that proof. */
@Module({ controllers: [VerificationController], providers: [VerificationService, Months] })
export class AuditVerifyModule {}
