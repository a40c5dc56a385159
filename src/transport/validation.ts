import { StandardSchemaValidationPipe } from '@nestjs/common';
import type { z } from 'zod';
import { DomainError, type FieldIssue } from '../kernel/errors.js';
import { clip } from './clip.js';

/** How many wrong fields one answer names. */
const MAX_ISSUES = 10;
/** How much of a field's name, which the caller may have invented, and of the problem, which may repeat names. */
const MAX_FIELD = 64;
const MAX_PROBLEM = 120;

/** What Standard Schema and zod both say of a wrong value. */
interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

function refuse(issues: readonly Issue[]): DomainError {
  const fields: FieldIssue[] = issues.slice(0, MAX_ISSUES).map(({ path, message }) => ({
    field: clip((path ?? []).map(nameOf).join('.'), MAX_FIELD) || '(request)',
    problem: clip(message, MAX_PROBLEM),
  }));
  const [first] = fields;
  return new DomainError('INVALID_ARGUMENT', first ? `${first.field}: ${first.problem}` : 'The request is not valid.', {
    details: { fields },
  });
}

const nameOf = (part: PropertyKey | { readonly key: PropertyKey }): string =>
  String(typeof part === 'object' ? part.key : part);

/** Parses every parameter that declares a schema, on every transport; what is left over is what the schema knows. */
export const validationPipe = (): StandardSchemaValidationPipe =>
  new StandardSchemaValidationPipe({ exceptionFactory: refuse });

/**
 * The same for a message that no pipe saw (frames of a stream).
 * @throws DomainError INVALID_ARGUMENT naming the wrong fields
 */
export function parse<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw refuse(result.error.issues);
}
