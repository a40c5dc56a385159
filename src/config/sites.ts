import type { Environment } from './schema.js';

const MAX_ORIGINS = 1000;

/** What is wrong between the variables that say which pages may call, one line each. */
export function siteProblems(environment: Environment): string[] {
  const { CORS_ALLOWED_ORIGINS: origins, CORS_ALLOW_CREDENTIALS: credentials, NODE_ENV } = environment;
  const problems: string[] = [];
  if (origins.length > MAX_ORIGINS) {
    problems.push(`CORS_ALLOWED_ORIGINS: found ${origins.length} origins, expected ${MAX_ORIGINS} at most`);
  }
  if (credentials && origins.length === 0) {
    problems.push(
      'CORS_ALLOW_CREDENTIALS: found true without CORS_ALLOWED_ORIGINS, expected the origins that it is for',
    );
  }
  if (!origins.includes('*')) return problems;
  if (origins.length > 1) problems.push('CORS_ALLOWED_ORIGINS: found * beside others, expected it alone or origins');
  if (credentials) {
    problems.push(
      'CORS_ALLOWED_ORIGINS: found * while CORS_ALLOW_CREDENTIALS is true, expected the origins that may send credentials',
    );
  }
  if (NODE_ENV === 'production') {
    problems.push('CORS_ALLOWED_ORIGINS: found * in production, expected the origins that may call');
  }
  return problems;
}
