/**
 * Masks secrets anywhere inside a string. The one list that logs, errors and audit metadata use.
 * A mask shows the kind and nothing else, except an API key's public id.
 */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z0-9 ]{1,40}-----[\s\S]{0,20000}?(?:-----END [A-Z0-9 ]{1,40}-----|$)/g, 'pem_****'],
  [/\beyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){1,4}/g, 'jwt_****'],
  [/\bgh_(live|test)_([0-9A-Za-z]{16})_[0-9A-Za-z]+/g, 'gh_$1_$2_****'],
  [/\bsk-ant-[A-Za-z0-9_-]{6,}/g, 'sk-ant_****'],
  [/\bsk-[A-Za-z0-9_-]{12,}/g, 'sk_****'],
  [/\bgh[pousr]_[A-Za-z0-9]{16,}/g, 'github_****'],
  [/\bgithub_pat_[A-Za-z0-9_]{16,}/g, 'github_****'],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, 'aws_****'],
  [/\b((?:Bearer|Basic)\s+)[A-Za-z0-9+/=._~-]{6,}/gi, '$1****'],
  [/\b([a-z][a-z0-9+.-]{1,20}:\/\/[^\s:/@]{0,200}):[^\s@]{1,500}@/gi, '$1:****@'],
  [/\b(api[_-]?key["']?\s{0,4}=\s{0,4})("[^"]{1,500}"|'[^']{1,500}'|[^\s,;&"'}]{1,500})/gi, '$1****'],
  [
    /((?:password|passwd|pwd|secret|token|access[_-]?key|auth[_-]?secret)["']?\s{0,4}[=:]\s{0,4})("[^"]{1,500}"|'[^']{1,500}'|[^\s,;&"'}]{1,500})/gi,
    '$1****',
  ],
];

/** Longest text that is searched; the rest is cut, so that masking costs a bounded time. */
const MAX_MASKED_LENGTH = 32_768;

/** The same text with every secret in it masked. */
export function mask(text: string): string {
  let masked = text.length > MAX_MASKED_LENGTH ? `${text.slice(0, MAX_MASKED_LENGTH)}…` : text;
  for (const [pattern, replacement] of PATTERNS) masked = masked.replace(pattern, replacement);
  return masked;
}
