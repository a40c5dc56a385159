import { SetMetadata } from '@nestjs/common';

const EXPENSIVE = Symbol('expensive');

/** This handler makes something that costs: a session, agent, worktree, or key. It has a limit of its own, for each caller. */
export const Expensive = (): MethodDecorator => SetMetadata(EXPENSIVE, true);

export const isExpensive = (handler: object): boolean => Reflect.getMetadata(EXPENSIVE, handler) === true;
