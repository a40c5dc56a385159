import { attach, kill, list, login, logout, run, version } from './commands.js';
import { Failure, UsageError } from './failure.js';

const HELP = `Terminals that outlive their window.

Usage: gatehouse <command>

  run [--name N] [--cwd DIR] [--detach] [--] [command…]
                            start a session (your login shell without a command) and attach to it
  attach <session> [--viewer] [--take]
                            come back to a session, by id, end of id, or name
  list [--all] [--json]     live sessions; --all shows ended ones too
  kill <session>…           end sessions with all their processes
  login [--url URL]         keep a credential in a file that only you can read
  logout                    remove it
  version                   print the version

While attached, Ctrl-] detaches; --detach-key '^X' changes that, --detach-key none turns it off.

GATEHOUSE_TOKEN is the API key or token, GATEHOUSE_URL the server (http://127.0.0.1:8080).`;

function help(): number {
  console.log(HELP);
  return 0;
}

const COMMANDS: Readonly<Record<string, (args: string[]) => number | Promise<number>>> = {
  run,
  attach,
  list,
  kill,
  login,
  logout,
  version,
  help,
  '--help': help,
  '-h': help,
  '--version': version,
};

async function main([name, ...args]: string[]): Promise<number> {
  if (name === undefined) {
    console.error(HELP);
    return 2;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) throw new UsageError(`no command ${name}`);
  if (args[0] === '--help' || args[0] === '-h') return help();
  return command(args);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  process.stderr.write(`gatehouse: ${error.message}\n`);
  process.exitCode = error.status;
}
// Input that nobody reads any more must not keep the process.
if ('unref' in process.stdin) process.stdin.unref();
