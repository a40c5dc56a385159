import { DomainError } from '../../kernel/errors.js';

/** What the caller is told: the same for every reason of a code, so that a refusal teaches nothing. */
const MESSAGES = {
  JWT_INVALID: 'The token is not valid.',
  JWT_SIGNATURE_INVALID: 'The signature of the token is not valid.',
  JWT_EXPIRED: 'The token has expired.',
  JWT_NOT_YET_VALID: 'The token is not valid yet.',
  JWKS_UNAVAILABLE: 'The token cannot be checked now.',
  UNAUTHORIZED_USER: 'This user is not let in.',
  UNAUTHORIZED_GROUP: 'Members of this group are not let in.',
} as const;

/**
 * The error of a token that is refused.
 * @param reason goes to the audit trail only; a fixed word of ours, nothing of the token
 */
export const refusal = (code: keyof typeof MESSAGES, reason: string): DomainError =>
  new DomainError(code, MESSAGES[code], { reason });
