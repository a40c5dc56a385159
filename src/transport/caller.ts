import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { CallerContext } from '../kernel/request-context.js';
import { contextOf } from './execution-context.js';

/** The context of the call, its caller known: the guards ran before any parameter is made. */
export const Caller = createParamDecorator(
  (_: unknown, execution: ExecutionContext): CallerContext => contextOf(execution) as CallerContext,
);
