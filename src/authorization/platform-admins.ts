import type { Config } from '../config/load.js';
import { isSameSubject, type Principal } from '../kernel/principal.js';

/** Is it one of those whom PLATFORM_ADMINS names, and who so may see what is of all tenants? The role says nothing of it. */
export const isPlatformAdmin = ({ PLATFORM_ADMINS }: Pick<Config, 'PLATFORM_ADMINS'>, principal: Principal): boolean =>
  PLATFORM_ADMINS.some((each) => isSameSubject(each, principal));
