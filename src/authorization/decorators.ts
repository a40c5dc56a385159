import { SetMetadata } from '@nestjs/common';
import type { Permission } from './permissions.js';

const ACCESS = Symbol('access');

/** Where the resource of a call is named: its kind (see OwnershipRegistry) and the field of the request that has it. */
export interface ResourceReference {
  readonly resource: string;
  readonly field: string;
}

/** What a handler declares about who may call it. */
export type Access =
  | { readonly kind: 'public' }
  | { readonly kind: 'authenticated' }
  | { readonly kind: 'permission'; readonly permission: Permission; readonly on: ResourceReference | null };

/** The caller needs this permission; with `on`, on the resource that the named field of the request identifies. */
export const RequirePermission = (permission: Permission, on: ResourceReference | null = null): MethodDecorator =>
  SetMetadata(ACCESS, { kind: 'permission', permission, on } satisfies Access);

/** Anyone may call this, without a credential. */
export const Public = (): MethodDecorator => SetMetadata(ACCESS, { kind: 'public' } satisfies Access);

/** Any known caller may call this. */
export const Authenticated = (): MethodDecorator => SetMetadata(ACCESS, { kind: 'authenticated' } satisfies Access);

/** What the handler declares, or null when it declares nothing (which stops the server at start-up). */
export function accessOf(handler: object): Access | null {
  return (Reflect.getMetadata(ACCESS, handler) as Access | undefined) ?? null;
}
