import { VERSION } from '../kernel/package.js';
import { AGENT } from './agents.js';
import { AUDIT } from './audit.js';
import { CERT } from './cert.js';
import { HelpWanted, none, parsed } from './arguments.js';
import { CONFIG } from './config.js';
import { doctor, DOCTOR_HELP } from './doctor.js';
import { complain, Failure, UsageError } from './failure.js';
import { KEY } from './keys.js';
import { login, logout } from './login.js';
import type { Noun, Run } from './noun.js';
import { POLICY } from './policy.js';
import { SECRETS } from './secrets.js';
import { attach, kill, list, run } from './sessions.js';
import { TOKEN } from './tokens.js';
import { WORKTREE } from './worktree.js';

const HELP = `Terminals that outlive their window.

Usage: gatehouse <command>

  run [--name N] [--cwd DIR | --worktree W] [--idle-timeout T] [--max-duration T] [--request-id R] [--detach] [--] [command…]
                            start a session (your login shell without a command) and attach to it;
                            T is a time span like 45s, 15m, 12h
  attach <session> [--viewer] [--take]
                            come back to a session, by id, end of id, or name; a terminal
                            shows its screen, a file or pipe gets all output that is retained
  list [--all] [--json]     live sessions; --all shows ended ones too
  kill <session>…           end sessions with all their processes

  agent start|list|show|attach|send|approve|deny|stop|resume|providers
                            coding agents, each in a terminal, usually in a worktree of its own
  worktree create|list|status|diff|log|stage|unstage|discard|commit|push|merge|rebase|remove|rescues|repositories
                            checkouts of repositories to work in

  key create|list|rotate|revoke
                            API keys for programs
  token mint|inspect        short-lived tokens, made and read without a server
  secrets set|list|delete|rekey
                            secrets that the server keeps sealed
  policy explain            who may do what, and why
  audit tail|search|export|verify
                            what happened, and who did it; is the record as it was written

  doctor [--all] [--json]   what is wrong with the deployment on this machine, and how to mend it
  config check              is its configuration right
  cert self-signed          a certificate for the server’s TLS

  login [--url URL]         keep a credential in a file that only you can read
  logout                    remove it
  version                   print the version
  help [command]            this, or more of agent, worktree, key, token, secrets, policy, audit,
                            cert, config and doctor

While attached, Ctrl-] detaches; --detach-key '^X' changes that, --detach-key none turns it off.

GATEHOUSE_TOKEN is the API key or token, GATEHOUSE_URL the server (http://127.0.0.1:8080, or https:// where
TLS_ENABLED is true).
NODE_EXTRA_CA_CERTS names a file with the certificate of an https:// server that nobody else vouches for, or of a private
authority that vouches for it.`;

/** Exit status of a program whose reader went away, as a shell tells it: 128 + SIGPIPE. */
const READER_GONE = 141;

const NOUNS: Readonly<Record<string, Noun>> = {
  ...{
    agent: AGENT,
    worktree: WORKTREE,
    key: KEY,
    token: TOKEN,
    secrets: SECRETS,
    policy: POLICY,
    audit: AUDIT,
    cert: CERT,
    config: CONFIG,
  },
};
const COMMANDS: Readonly<Record<string, Run>> = {
  ...{ run, attach, list, kill, doctor, login, logout, version, help },
};
const SYNONYMS: Readonly<Record<string, string>> = { '--help': 'help', '-h': 'help', '--version': 'version' };

function version(args: string[]): number {
  none(parsed(args, {}).positionals, 'version takes nothing');
  console.log(VERSION);
  return 0;
}

function help([name]: string[]): number {
  console.log(name === 'doctor' ? DOCTOR_HELP : (nounOf(name)?.help ?? HELP));
  return 0;
}

const own = <T>(table: Readonly<Record<string, T>>, name: string | undefined): T | undefined =>
  name !== undefined && Object.hasOwn(table, name) ? table[name] : undefined;
const nounOf = (name: string | undefined): Noun | undefined => own(NOUNS, name);

async function main([name, ...args]: string[]): Promise<number> {
  if (name === undefined) return usage(HELP);
  const noun = nounOf(name);
  if (noun === undefined) return command(COMMANDS, own(SYNONYMS, name) ?? name)(args);
  const [verb, ...rest] = args;
  if (verb === undefined) return usage(noun.help);
  if (verb === '--help' || verb === '-h' || verb === 'help') return help([name]);
  return command(noun.verbs, verb, `${name} `)(rest);
}

/** @throws UsageError when there is none of that name */
function command(table: Readonly<Record<string, Run>>, name: string, prefix = ''): Run {
  const found = own(table, name);
  if (!found) throw new UsageError(`no command ${prefix}${name}`);
  return found;
}

function usage(text: string): number {
  console.error(text);
  return 2;
}

const ANSWERING: ReadonlySet<string> = new Set(['policy explain', 'audit verify', 'secrets rekey', 'config check']);

/** The least status of a failure: what a question was answered with is told by the lesser ones. */
function leastFailure([noun, verb]: readonly string[]): number {
  if (noun === 'doctor') return 3;
  return ANSWERING.has(`${String(noun)} ${String(verb)}`) ? 2 : 0;
}

/** The exit status after something was thrown, which is told in a sentence. */
function statusOf(error: unknown, name: string | undefined): number {
  if (error instanceof HelpWanted) return help([name ?? '']);
  if (!(error instanceof Failure)) throw error;
  const place = nounOf(name) === undefined ? 'help' : `${String(name)} --help`;
  const hint = error instanceof UsageError ? `; see \`gatehouse ${place}\`` : '';
  complain(`${error.message}${hint}`);
  return Math.max(error.status, leastFailure(given));
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(READER_GONE);
  throw error;
});
const given = process.argv.slice(2);
try {
  process.exitCode = await main(given);
} catch (error) {
  process.exitCode = statusOf(error, given[0]);
}
// Input that nobody reads any more must not keep the process.
if ('unref' in process.stdin) process.stdin.unref();
