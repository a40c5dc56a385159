import type { Examination, Finding, State } from '../operator/index.js';
import { JSON_FLAG, none, parsed } from './arguments.js';
import { Failure, plain } from './failure.js';
import { printJson } from './output.js';

export const DOCTOR_HELP = `Looks at the deployment on this machine and says what is wrong, why it matters, how to mend it.

Usage: gatehouse doctor [--all] [--json]

  --all                     what is fine or was not looked at, too

Run it where the gateway runs, as its user and with its environment, whether the gateway runs or not. Nothing is started or
changed, and no secret is shown. Ends with 0 when all is fine, 1 when there are warnings, 2 when there are problems, and 3
when it could not look. docs/doctor.md has every check.`;

/** As monitoring programs take it. */
const STATUS: Readonly<Record<Examination['state'], number>> = { ok: 0, warning: 1, problem: 2 };
const WORDS: Readonly<Record<State, string>> = {
  ...{ problem: 'PROBLEM', warning: 'WARNING', ok: 'fine', skipped: 'skipped' },
};
const WORST_FIRST: readonly State[] = ['problem', 'warning', 'ok', 'skipped'];

/** `gatehouse doctor`. */
export async function doctor(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, { all: { type: 'boolean', default: false }, ...JSON_FLAG });
  none(positionals, 'doctor takes flags only');
  // The server's own modules, which no other command has to load.
  const { examine } = await import('../operator/index.js');
  const examination = await examine().catch((error: unknown) => {
    throw new Failure(`could not look at everything: ${error instanceof Error ? error.message : 'unknown'}`);
  });
  if (values.json) printJson(examination);
  else console.log(report(examination, values.all));
  return STATUS[examination.state];
}

function report({ findings }: Examination, all: boolean): string {
  const shown = WORST_FIRST.slice(0, all ? 4 : 2).flatMap((state) => findings.filter((each) => each.state === state));
  const count = (state: State): number => findings.filter((each) => each.state === state).length;
  const [problems, warnings] = [count('problem'), count('warning')];
  const sum = `${problems} problems, ${warnings} warnings, ${count('ok')} fine, ${count('skipped')} not looked at`;
  return [...shown.map(told), sum].join('\n');
}

function told({ state, id, what, why, mend }: Finding): string {
  const lines = [`${WORDS[state].padEnd(8)}${id}: ${indented(what)}`];
  if (why !== '') lines.push(`        why   ${indented(why)}`);
  if (mend !== '') lines.push(`        mend  ${indented(mend)}`, '');
  return lines.join('\n');
}

/** Several lines under the first one. */
const indented = (text: string): string => text.split('\n').map(plain).join('\n              ');
