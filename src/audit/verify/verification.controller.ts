import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { RequirePermission } from '../../authorization/decorators.js';
import type { CallerContext } from '../../kernel/request-context.js';
import { Caller } from '../../transport/caller.js';
import { type VerifyCommand, verifySchema } from './verification.schema.js';
import { VerificationService, type VerificationView } from './verification.service.js';

/** The proof of the trail over REST. The service records the outcome: that something is wrong is an answer, no refusal. */
@Controller('/api/v1/audit')
export class VerificationController {
  constructor(private readonly verification: VerificationService) {}

  @Post('verify')
  @HttpCode(200)
  @RequirePermission('audit:verify')
  verify(
    @Caller() caller: CallerContext,
    @Body({ schema: verifySchema }) command: VerifyCommand,
  ): Promise<VerificationView> {
    return this.verification.verify(caller, command);
  }
}
