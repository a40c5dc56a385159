/** The variable of the webhook that alerts go to when nothing else is said. */
export const DEFAULT_WEBHOOK = 'SLACK_WEBHOOK_URL';
/** What the variables of further webhooks begin with. */
const FURTHER = /^ALERT_WEBHOOK_[A-Z0-9_]{1,64}$/;
const LOOPBACK = /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])$/;
const MAX_LENGTH = 2048;
const MAX_WEBHOOKS = 20;

/** What an address must be, as a mistake tells it. */
export const WEBHOOK_EXPECTED = 'an https address (http on loopback only) without user, password or fragment';

/** Is it the name of a variable that may have the address of a webhook in it? */
export const isWebhookVariable = (name: string): boolean => name === DEFAULT_WEBHOOK || FURTHER.test(name);

/** May alerts be sent there? */
export function isWebhookAddress(text: string): boolean {
  if (isHttpsWebhook(text)) return true;
  return isPlain(text) && new URL(text).protocol === 'http:' && LOOPBACK.test(new URL(text).hostname);
}

/** The same for an address that no operator vouches for: by https only, so that it reaches nothing on this machine's ports. */
export const isHttpsWebhook = (text: string): boolean => isPlain(text) && new URL(text).protocol === 'https:';

function isPlain(text: string): boolean {
  if (text.length > MAX_LENGTH || !URL.canParse(text)) return false;
  const { username, password, hash } = new URL(text);
  return username === '' && password === '' && hash === '';
}

/** The webhooks of an environment, by the names of their variables. Who has an address may send, so each is a secret. */
export function webhooksOf(environment: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  return new Map(Object.entries(environment).filter(([name]) => isWebhookVariable(name)));
}

/** What is wrong with them, without a word of an address. */
export function webhookProblems(webhooks: ReadonlyMap<string, string>): string[] {
  if (webhooks.size > MAX_WEBHOOKS) return [`ALERT_WEBHOOK_…: more than ${MAX_WEBHOOKS} webhooks`];
  return [...webhooks]
    .filter(([name, address]) => name !== DEFAULT_WEBHOOK && !isWebhookAddress(address))
    .map(
      ([name, address]) =>
        `${name}: found a value of ${Buffer.byteLength(address)} bytes, expected ${WEBHOOK_EXPECTED}`,
    );
}
