import { SECRET_FORMS } from '../../src/kernel/secret-forms.js';

/** Shorter values are words. */
const MIN_SECRET = 8;
/** Tokens that are remembered, of one test file. */
const MAX_TOKENS = 10_000;
/** The two lines of the welcome that show the first key, on the terminal and never in a line of the log. */
const WELCOME =
  /^ {2}(?:(?:NODE_EXTRA_CA_CERTS=\S+ )?(?:GATEHOUSE_URL=\S+ )?GATEHOUSE_TOKEN=)?(gh_(?:test|live)_[0-9A-Za-z]{16}_[0-9A-Za-z]{49})(?: npx gatehouse run)?$/;

/** What the tests of this file have made for themselves, by kind. */
const made = new Map<string, string>();

/** No gateway may ever print this. @returns the secret */
export function neverPrinted(kind: string, secret: string): string {
  if (secret.length >= MIN_SECRET && made.size < MAX_TOKENS) made.set(secret, kind);
  return secret;
}

/** The secrets among the variables of a gateway: by name, but for those that name a file; and passwords in addresses. */
export function secretsOf(environment: Readonly<Record<string, string | undefined>>): [kind: string, secret: string][] {
  return Object.entries(environment).flatMap(([name, value = '']): [string, string][] => {
    if (/^(?:(?:AUTH_SECRET|ENCRYPTION_MASTER_KEY)(?:_PREVIOUS)?|SLACK_WEBHOOK_URL|ALERT_WEBHOOK_\w+)$/.test(name))
      return [[name, value]];
    const password = /^(?:DATABASE|REDIS)_URL$/.test(name) ? /^[a-z]+:\/\/[^:/@]*:(.*)@/.exec(value)?.[1] : undefined;
    return password === undefined ? [] : [[`the password of ${name}`, password]];
  });
}

/**
 * Looks through all that a gateway has printed for its secrets, and for whatever has the form of one.
 * @throws Error with the kind and line of the first, never with the secret
 */
export function requireNoSecrets(printed: string, known: readonly (readonly [kind: string, secret: string])[]): void {
  const secrets = [...known, ...[...made].map(([secret, kind]) => [kind, secret] as const)];
  let firstKey: string | undefined;
  for (const [index, line] of printed.split('\n').entries()) {
    const shown = WELCOME.exec(line)?.[1];
    firstKey ??= shown;
    if (shown !== undefined && shown === firstKey) continue;
    const kind =
      secrets.find(([, secret]) => secret.length >= MIN_SECRET && line.includes(secret))?.[0] ?? formIn(line);
    if (kind !== undefined) throw new Error(`a secret was printed: ${kind}, in line ${String(index + 1)}`);
  }
}

function formIn(line: string): string | undefined {
  return SECRET_FORMS.find(({ expression, shown }) => line.replace(expression, shown) !== line)?.kind;
}
