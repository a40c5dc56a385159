import { isHttpsWebhook } from '../../config/webhooks.js';
import { isDatabaseAway } from '../../database/errors.js';
import { DomainError } from '../../kernel/errors.js';
import { SealBroken } from '../../sealing/envelope.js';
import { SealKeyMissing } from '../../sealing/keyring.js';

/** Where the address of a webhook is: in a variable of the environment, or in a stored secret. */
export type WebhookPlace = { readonly webhook: string } | { readonly secret: string };

/** The address cannot be had. */
export class NoAddress extends Error {
  /**
   * @param fault a few words for the log
   * @param again may it be had by the same question later, without anybody doing anything?
   */
  constructor(
    readonly fault: string,
    readonly again = false,
  ) {
    super(fault);
    this.name = 'NoAddress';
  }
}

/** Gives the address of a webhook when something is to be sent. */
export interface WebhookSource {
  /** Another text for every other place or address; only compared, never shown. */
  readonly id: string;
  /** @throws NoAddress */
  address(): Promise<string>;
}

/** An address that does not change while the server runs. */
export const fixedSource = (address: string): WebhookSource => ({
  id: `address ${address}`,
  address: () => Promise.resolve(address),
});

/** Reads a stored secret of the tenant `default`; null when there is none of that name. */
export type ReadSecret = (name: string) => Promise<string | null>;

/** An address in a stored secret, read each time: a new one counts from the next message on. */
export const secretSource = (name: string, read: ReadSecret): WebhookSource => ({
  id: `secret ${name}`,
  address: async () => {
    const address = await read(name).catch((error: unknown) => {
      throw faultOf(name, error);
    });
    if (address === null) throw new NoAddress(`there is no secret called ${name}`);
    if (isHttpsWebhook(address)) return address;
    throw new NoAddress(`the secret called ${name} is no https address without user, password and fragment`);
  },
});

/** What kept it from being read. Anything unforeseen may pass, as a database that is away does. */
function faultOf(name: string, error: unknown): NoAddress {
  if (error instanceof SealKeyMissing) {
    return new NoAddress(`the secret called ${name} is sealed under the master key ${error.keyId}, which is not here`);
  }
  if (error instanceof SealBroken) return new NoAddress(`the secret called ${name} was altered and cannot be opened`);
  if (error instanceof DomainError && error.code === 'SEALING_UNAVAILABLE') {
    return new NoAddress('there is no ENCRYPTION_MASTER_KEY to open secrets with');
  }
  const away = isDatabaseAway(error) ? 'PostgreSQL is away' : 'an error';
  return new NoAddress(`the secret called ${name} cannot be read now: ${away}`, true);
}
