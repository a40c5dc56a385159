/**
 * A coding agent with hooks, in the manner of Claude Code (`--settings <file>`) or Codex (`-c notify=[…]`). It shows the same
 * screen all the time; a line typed into it is a hook that it runs: the event, and its JSON.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const option = (name) => process.argv[process.argv.indexOf(name) + 1];
const settings = process.argv.includes('--settings')
  ? JSON.parse(readFileSync(option('--settings'), 'utf8'))
  : undefined;
const notify = process.argv.includes('-c') ? JSON.parse(option('-c').replace('notify=', '')) : undefined;

process.stdin.setRawMode?.(true);
console.log('\u001b[?2004hhook agent');
run('SessionStart', '{"session_id":"conversation-9","source":"startup"}');

let typed = '';
process.stdin.on('data', (data) => {
  const text = data.toString();
  if (text === '1' || text === '\u001b') console.log(`KEY ${JSON.stringify(text)}`);
  else if (text.startsWith('\u001b[200~')) console.log(`PASTE ${JSON.stringify(text)}`);
  else typed += text;
  const lines = typed.split('\r');
  typed = lines.pop();
  for (const line of lines.filter((each) => each !== '')) {
    const [event, json] = line.split(/ (.*)/);
    run(event, json ?? '{}');
  }
});

function run(event, json) {
  if (event === 'quit') process.exit(0);
  if (settings !== undefined) {
    for (const { hooks } of settings.hooks[event] ?? []) {
      for (const { command } of hooks) {
        const { status, stdout } = spawnSync('sh', ['-c', command], { input: json });
        console.log(`HOOK ${event} ${status} ${JSON.stringify(stdout.toString())}`);
      }
    }
  } else if (notify !== undefined && event.startsWith('agent')) {
    const { status } = spawnSync(notify[0], [...notify.slice(1), JSON.stringify({ type: event, 'thread-id': 't-1' })]);
    console.log(`NOTIFY ${event} ${status}`);
  }
}
