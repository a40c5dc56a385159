/**
 * The regular expressions that tell a screen's meaning. They come from a configuration file, and the text from a stranger's
 * program: together they could take for ever, so every look has a limit, after which the list is not tried again.
 */
import { Script, createContext } from 'node:vm';
import { DomainError } from '../../kernel/errors.js';

export const MAX_PATTERNS = 16;
export const MAX_PATTERN_LENGTH = 256;
/** For one list; the runner does nothing else meanwhile. */
const MATCH_MS = 50;
/** On a busy machine time passes for others: a list is given up when it has taken too long so many times, one after the other. */
const TRIES = 3;

const script = new Script('patterns.some((pattern) => pattern.test(text))');
const context = createContext(
  { patterns: [] as RegExp[], text: '' },
  { codeGeneration: { strings: false, wasm: false } },
);

/** Some regular expressions, one of which has to match. */
export class Patterns {
  #patterns: readonly RegExp[];

  /**
   * @param sources regular expressions; `^` and `$` match at every line, capitals make no difference
   * @param field names them in the error
   * @throws DomainError INVALID_ARGUMENT when they are too many, too long, or not valid
   */
  constructor(sources: readonly string[], field: string) {
    if (sources.length > MAX_PATTERNS) throw invalid(field, `may be ${MAX_PATTERNS} at most`);
    this.#patterns = sources.map((source) => compile(source, field));
  }

  get length(): number {
    return this.#patterns.length;
  }

  /** Does one of them match? Ones that take too long never match again. */
  match(text: string): boolean {
    for (let tries = 0; tries < TRIES && this.#patterns.length > 0; tries += 1) {
      const found = this.#try(text);
      if (found !== undefined) return found;
    }
    this.#patterns = [];
    return false;
  }

  /** @returns undefined when it takes too long */
  #try(text: string): boolean | undefined {
    Object.assign(context, { patterns: this.#patterns, text });
    try {
      return script.runInContext(context, { timeout: MATCH_MS }) === true;
    } catch {
      return undefined;
    } finally {
      Object.assign(context, { patterns: [], text: '' });
    }
  }
}

function compile(source: string, field: string): RegExp {
  if (source.length > MAX_PATTERN_LENGTH) throw invalid(field, `may be ${MAX_PATTERN_LENGTH} characters long at most`);
  try {
    return new RegExp(source, 'im');
  } catch {
    throw invalid(field, 'must be regular expressions');
  }
}

function invalid(field: string, problem: string): DomainError {
  return new DomainError('INVALID_ARGUMENT', `${field} ${problem}.`, { details: { fields: [{ field, problem }] } });
}
