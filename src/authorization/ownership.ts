import { Injectable } from '@nestjs/common';
import type { CallerContext } from '../kernel/request-context.js';
import type { Resource } from './policy.js';

/** Finds the resource that a field of a request names; null when there is none. */
export type ResourceResolver = (value: unknown, context: CallerContext) => Promise<Resource | null> | Resource | null;

/** Where features register how their resources are found, so that authorisation imports no feature. */
@Injectable()
export class OwnershipRegistry {
  readonly #resolvers = new Map<string, ResourceResolver>();

  /** @throws Error when the kind is registered twice */
  register(kind: string, resolver: ResourceResolver): void {
    if (this.#resolvers.has(kind)) throw new Error(`The resource kind ${kind} is registered twice`);
    this.#resolvers.set(kind, resolver);
  }

  has(kind: string): boolean {
    return this.#resolvers.has(kind);
  }

  /** @throws Error when the kind is unknown, which the start-up check rules out */
  async resolve(kind: string, value: unknown, context: CallerContext): Promise<Resource | null> {
    const resolver = this.#resolvers.get(kind);
    if (!resolver) throw new Error(`No resolver for the resource kind ${kind}`);
    return resolver(value, context);
  }
}
