/** Runs a command; its exit status. */
export type Run = (args: string[]) => number | Promise<number>;

/** A kind of thing and what can be done with it: `gatehouse key create`. */
export interface Noun {
  readonly help: string;
  readonly verbs: Readonly<Record<string, Run>>;
}
