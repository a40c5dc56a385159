import type { TestGateway } from '../gateway.js';
import type { Expected } from '../trail-match.js';
import type { CatalogueWorld } from './world.js';

/** One event that was made to happen, and what is to be on record of it, once. */
export interface Happened {
  readonly event: Expected;
  /** In whose log it is; the world's gateway when absent. */
  readonly log?: TestGateway;
}

/** Makes an action happen, for real, once or in several ways. */
type Make = (world: CatalogueWorld) => Promise<readonly Happened[]>;

/** How an action succeeds, and how it is refused or fails, where it can. */
export interface Case {
  readonly success?: Make;
  readonly failure?: Make;
}

/** Cases of some of the actions. */
export type Cases = Readonly<Record<string, Case>>;

export const one = (event: Expected): readonly Happened[] => [{ event }];
