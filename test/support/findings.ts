import { expect } from '@jest/globals';
import { type Config, inspectConfig } from '../../src/config/load.js';
import { CHECKS, type Finding } from '../../src/operator/finding.js';

/** Makes configurations of production: the environment, and what is not a variable of every version. */
export const productionConfig =
  (dataDir: string, secret = 'a-secret-of-production-0123456789-abcdefghij') =>
  (environment: Record<string, string> = {}, more: object = {}): Config => ({
    ...inspectConfig({ NODE_ENV: 'production', AUTH_SECRET: secret, DATA_DIR: dataDir, ...environment }).config,
    ...more,
  });

/** Its state; and where something is wrong it has to say why and how, elsewhere nothing. */
export function stateOf(finding: Finding | undefined): string {
  const { state = 'none', id = 'config.valid', why = '', mend = '' } = finding ?? {};
  const wrong = state === 'warning' || state === 'problem';
  expect([why, mend === '']).toEqual([wrong ? CHECKS[id] : '', !wrong]);
  return state;
}

export const byId = (findings: readonly Finding[], id: string): Finding | undefined =>
  findings.find((each) => each.id === id);
