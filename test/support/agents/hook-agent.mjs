/**
 * A coding agent with hooks, in the manner of Claude Code (`--settings <file>`) or Codex (`-c notify=[…]`). It shows the same
 * screen all the time; a line typed into it is a hook that it runs: the event, and its JSON. So is one that comes by the socket
 * `--control <path>`, past the terminal, which is answered when it is done; there `dialogs` and a JSON list shows one after the
 * other, until each has got its key.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

const option = (name) => process.argv[process.argv.indexOf(name) + 1];
const settings = process.argv.includes('--settings')
  ? JSON.parse(readFileSync(option('--settings'), 'utf8'))
  : undefined;
const notify = process.argv.includes('-c') ? JSON.parse(option('-c').replace('notify=', '')) : undefined;

process.stdin.setRawMode?.(true);
console.log('\u001b[?2004hhook agent');
run('SessionStart', '{"session_id":"conversation-9","source":"startup"}');

if (process.argv.includes('--control')) {
  const serve = (socket) => {
    createInterface({ input: socket }).on('line', (line) => {
      obey(line, true);
      socket.write('done\n');
    });
  };
  createServer(serve).listen(option('--control'), () => console.log('CONTROLLED'));
}

let dialogs = [];
let typed = '';
process.stdin.on('data', (data) => {
  const text = data.toString();
  if (text === '1' || text === '\u001b') {
    console.log(`KEY ${JSON.stringify(text)} FOR ${JSON.stringify(dialogs[0])}`);
    if (dialogs.length > 0) show(dialogs.slice(1));
  } else if (text.startsWith('\u001b[200~')) console.log(`PASTE ${JSON.stringify(text)}`);
  else typed += text;
  const lines = typed.split('\r');
  typed = lines.pop();
  for (const line of lines.filter((each) => each !== '')) obey(line);
});

function obey(line, silent = false) {
  const [event, json] = line.split(/ (.*)/);
  if (event === 'dialogs') show(JSON.parse(json));
  else run(event, json ?? '{}', silent);
}

/** Draws the first of them over all that there was. */
function show(some) {
  dialogs = some;
  process.stdout.write(`\u001b[2J\u001b[H${dialogs[0] ?? 'at work'}\n`);
}

function run(event, json, silent = false) {
  if (event === 'quit') process.exit(0);
  if (settings !== undefined) {
    for (const { hooks } of settings.hooks[event] ?? []) {
      for (const { command } of hooks) {
        const { status, stdout } = spawnSync('sh', ['-c', command], { input: json });
        if (!silent) console.log(`HOOK ${event} ${status} ${JSON.stringify(stdout.toString())}`);
      }
    }
  } else if (notify !== undefined && event.startsWith('agent')) {
    const { status } = spawnSync(notify[0], [...notify.slice(1), JSON.stringify({ type: event, 'thread-id': 't-1' })]);
    console.log(`NOTIFY ${event} ${status}`);
  }
}
