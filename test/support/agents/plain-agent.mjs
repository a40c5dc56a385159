/**
 * A coding agent as a script: says that it is ready, works on what is typed in, asks before it does things, and tells what
 * it got. What it does the text says: `ask`, `ask twice`, `crash`, `exit`, `loop`; anything else is work. Started with `trust`
 * it asks before it is ready; with `raw` it shows nothing of what is typed; with `silent` neither, nor of what it is told until
 * it is told `the end`.
 */
import { createInterface } from 'node:readline';

const [mode = ''] = process.argv.slice(2);
if (process.argv.includes('--version')) {
  console.log('plain-agent 1.2.3');
  process.exit(0);
}
if (mode === 'no-login') {
  console.log('You are not logged in. Run /login first.');
  setInterval(() => undefined, 1000);
  if (process.argv.includes('leave')) process.exit(1);
}
if (mode === 'stubborn') for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => undefined);

const prompt = process.argv.find((argument) => argument.startsWith('do '));
let asking = false;
let answers = 0;
let twice = false;
let looping;
const lines = createInterface({ input: process.stdin, terminal: false });
if (mode === 'raw') process.stdin.setRawMode(true);
console.log('plain agent');
if (mode === 'silent') listen();
else if (mode === 'trust') ask('Do you trust this folder?');
else if (prompt !== undefined) work(prompt);
else ready();

lines.on('line', (line) => {
  if (asking) {
    asking = false;
    answers += 1;
    console.log(`ANSWER ${answers} ${line === 'y' ? 'APPROVED' : 'DENIED'}`);
    if (twice && answers === 1) ask('May I go on?');
    else ready();
  } else work(line);
});
// One whose prompt was its standard input goes on until it is done.
lines.on('close', () => looping || process.exit(0));

function work(text) {
  console.log(`GOT ${JSON.stringify(text)}`);
  if (text.includes('crash')) process.kill(process.pid, 'SIGSEGV');
  else if (text.includes('fail')) process.exit(3);
  else if (text.includes('exit')) process.exit(0);
  else if (text.includes('loop')) looping = setInterval(() => console.log('still at it'), 100);
  else if (text.includes('ask')) {
    twice = text.includes('twice');
    ask('May I run rm?');
  } else ready();
}

function ask(question) {
  asking = true;
  process.stdout.write(`${question} [y/n] `);
}

function listen() {
  let heard = '';
  process.stdin.setRawMode(true);
  process.stdin.on('data', (data) => {
    heard += data.toString();
    if (heard.includes('the end\r')) console.log(`HEARD ${heard.split('\r').length - 1}`);
  });
  ready();
}

function ready() {
  process.stdout.write('> ');
}
