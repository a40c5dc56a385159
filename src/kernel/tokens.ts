/** Injection tokens of kernel interfaces, which have no class of their own. */
export const CLOCK = Symbol('CLOCK');
