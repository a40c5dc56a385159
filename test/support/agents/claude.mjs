/** Stands in for the program `claude` where the walk-through of docs/agents.md is followed: shows what that shows, and asks. */
import { createInterface } from 'node:readline';

if (process.argv.includes('--version')) {
  console.log('2.0.0 (stand-in)');
  process.exit(0);
}
let asking = false;
/** What was asked is not there any more, as on the screen of a program that draws it anew. */
const ready = () => process.stdout.write('\x1b[2J\x1b[H> \n? for shortcuts\n');
process.on('SIGINT', () => process.exit(0));
console.log(process.argv.includes('--resume') ? 'welcome back' : 'welcome');
ready();
createInterface({ input: process.stdin }).on('line', (line) => {
  if (asking) {
    asking = false;
    console.log('edited');
    ready();
  } else if (line.includes('Fix')) {
    asking = true;
    console.log('Edit login.ts\nDo you want to make this edit? (y/n)');
  } else {
    console.log(`noted: ${line}`);
    ready();
  }
});
