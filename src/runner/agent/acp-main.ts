/**
 * Runs an agent that speaks the Agent Client Protocol, in a terminal:
 *
 *     node acp-main.js <id of an earlier conversation, or nothing> <program> <argument>…
 *
 * The conversation is shown as text; a line that is typed is the next prompt, or the answer to what the agent asks.
 * Ctrl-C breaks off what it works on, or ends it when it rests; so does the end of input. The runner is told every change.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Readable, Writable } from 'node:stream';
import { ndJsonStream } from '@agentclientprotocol/sdk';
import { AcpConversation, LoginRequired, messageOf } from './acp-conversation.js';
import { ChannelClient } from './channel-client.js';
import { shown } from './acp-text.js';

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
/** How long the agent may take to end. */
const LEAVE_MS = 2000;

const [resumeId = '', program = '', ...args] = process.argv.slice(2);
// eslint-disable-next-line no-restricted-properties -- a program of its own: this is how it is told where to go
const { GATEHOUSE_AGENT_SOCKET: path, GATEHOUSE_AGENT_TOKEN: token, ...env } = process.env;
// In a process group of its own: a Ctrl-C is for the conversation, which tells the agent. What it does is told by its
// protocol: the socket is not for it.
const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'inherit'], detached: true });
/** The exit code once it is this program that ends the other. */
let leaving: number | undefined;

const channel = new ChannelClient(path, token, (message) => {
  conversation.told(message);
});
const conversation = new AcpConversation({
  show: (text) => process.stdout.write(text),
  tell: (message) => {
    channel.tell(message);
  },
});
const interrupt = (): void => {
  if (conversation.isWorking) conversation.cancel();
  else leave(0);
};
const terminal = createInterface({ input: process.stdin, terminal: false });
terminal.on('line', (line) => {
  conversation.line(line);
});
terminal.on('close', () => {
  leave(0);
});
process.on('SIGINT', interrupt);
for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, leave.bind(undefined, 143));

child.stdin.on('error', () => undefined);
child.once('error', (error) => {
  fail(error);
});
child.once('exit', (code, signal) => {
  if (leaving !== undefined) process.exit(leaving);
  if (signal === null) process.exit(code ?? 0);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
const input = Readable.toWeb(child.stdout) as ReadableStream<Uint8Array>;
const stream = ndJsonStream(Writable.toWeb(child.stdin), input, { maxMessageBytes: MAX_MESSAGE_BYTES });
try {
  await conversation.open(stream, process.cwd(), resumeId);
} catch (error) {
  fail(error);
}

function fail(error: unknown): void {
  const text = shown(messageOf(error)).slice(0, 1000);
  if (error instanceof LoginRequired) channel.tell({ type: 'acp_login', text });
  process.stdout.write(`\n[${text}]\n`);
  leave(1);
}

function leave(code: number): void {
  leaving ??= code;
  if (child.exitCode !== null || child.pid === undefined) process.exit(leaving);
  child.kill('SIGTERM');
  setTimeout(() => child.kill('SIGKILL'), LEAVE_MS).unref();
}
