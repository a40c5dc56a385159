import { JSON_FLAG, none, parsed } from './arguments.js';
import { plain } from './failure.js';
import type { Noun } from './noun.js';
import { printJson } from './output.js';

const HELP = `The configuration of the server on this machine.

Usage: gatehouse config <command>

  check [--json]            read it as a start would: the environment, .env, the YAML files and kept secrets; say every
                            mistake. Nothing is started. Ends with 0 when there is none, else with 1`;

export const CONFIG: Noun = { help: HELP, verbs: { check } };

/** `gatehouse config check`. */
async function check(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, JSON_FLAG);
  none(positionals, 'check takes flags only');
  const { checkConfig } = await import('../operator/index.js');
  const { problems } = checkConfig();
  if (values.json) printJson({ ok: problems.length === 0, problems });
  else if (problems.length === 0) console.log('the configuration is right');
  else for (const problem of problems) console.log(plain(problem));
  return problems.length === 0 ? 0 : 1;
}
