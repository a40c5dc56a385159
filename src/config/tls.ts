import type { Environment } from './schema.js';

/** What is wrong between the variables of TLS, one line each. The files are looked at when they are read. */
export function tlsProblems(environment: Environment): string[] {
  const { TLS_ENABLED: enabled, TLS_TERMINATED_BY_PROXY: proxy } = environment;
  const { TLS_CLIENT_AUTH: clients, TLS_CLIENT_CA_FILE: authority } = environment;
  const problems: string[] = [];
  if (environment.NODE_ENV === 'production' && !enabled && !proxy) {
    problems.push(
      'TLS_ENABLED: found false in production, expected true, or TLS_TERMINATED_BY_PROXY=true behind a proxy that speaks TLS',
    );
  }
  if (enabled && proxy) {
    problems.push('TLS_TERMINATED_BY_PROXY: found true beside TLS_ENABLED=true, expected one of the two');
  }
  if (!enabled && clients !== 'none') {
    problems.push(`TLS_CLIENT_AUTH: found "${clients}" without TLS_ENABLED=true, expected both or none`);
  }
  if (clients === 'verify' && authority === undefined) {
    problems.push(
      'TLS_CLIENT_CA_FILE: not set while TLS_CLIENT_AUTH is "verify", expected the authority of the clients’ certificates',
    );
  }
  if (clients === 'none' && authority !== undefined) {
    problems.push('TLS_CLIENT_CA_FILE: set while TLS_CLIENT_AUTH is "none", expected "request", "require" or "verify"');
  }
  return problems;
}
