import { Api } from './api.js';
import { none, parsed } from './arguments.js';
import {
  credential,
  credentialsFile,
  defaultUrl,
  removeCredentials,
  serverUrl,
  storeCredentials,
} from './credentials.js';
import { Failure } from './failure.js';
import { ask } from './prompt.js';

/** `gatehouse login`: keeps a credential in a file that only its user can read. */
export async function login(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, { url: { type: 'string' } });
  none(positionals, 'login asks for the credential, so that no list of processes shows it');
  const url = serverUrl(values.url ?? ((await ask(`Server [${defaultUrl()}]: `)) || defaultUrl()));
  const given = await ask('API key or token (not shown): ', true);
  if (given === '') throw new Failure('no key was given');
  const token = credential(given, 'what was given');
  // Any call tells whether the server accepts the credential.
  await new Api({ url, token }).call('GET', '/sessions?limit=1');
  console.log(`logged in to ${url}; the credential is in ${storeCredentials({ url, token })}`);
  return 0;
}

/** `gatehouse logout`. */
export function logout(args: string[]): number {
  none(parsed(args, {}).positionals, 'logout takes nothing');
  removeCredentials();
  console.log(`removed ${credentialsFile()}`);
  return 0;
}
