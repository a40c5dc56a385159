/**
 * The hook that a program runs to tell its state:
 *
 *     node hook-main.js claude <event> [signs]   its JSON on stdin; with signs for a runner that knows them
 *     node hook-main.js notify <JSON>
 *
 * It passes on what matters and ends, with 0 and without a word, whatever happens: the program waits for it.
 */
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { shortened } from './shortened.js';

/** It gives up after so long. */
const PATIENCE_MS = 2000;
const MAX_INPUT_BYTES = 4 * 1024 * 1024;
/** As channel-messages.ts has it, which would bring a library along. */
const MAX_TOLD_TEXT = 4096;
const MAX_TOLD_ID = 256;
const MAX_SIGNS = 16;
const MAX_SIGN = 80;
/** Of a text with more lines the first and the last ones. */
const MAX_SIGNS_OF_ONE = 8;
/** What is told of what a tool wants to do. */
const MAX_INPUT_TEXT_BYTES = 2048;

type Fields = Readonly<Record<string, unknown>>;

setTimeout(leave, PATIENCE_MS).unref();
process.on('uncaughtException', leave);

const [of, argument = '', known] = process.argv.slice(2);
if (of === 'claude') tell({ of, event: argument, ...claude(parse(await input())) });
else if (of === 'notify') tell({ of, ...notify(parse(argument)) });
else leave();

function claude(fields: Fields): Fields {
  const tool = asText(fields['tool_name']);
  const given = fields['tool_input'] === undefined ? undefined : JSON.stringify(fields['tool_input']);
  const wish = given === undefined ? undefined : shortened(given, MAX_INPUT_TEXT_BYTES);
  const text = asText(fields['message']) ?? [tool?.slice(0, 128), wish].filter((each) => each !== undefined).join(': ');
  return {
    conversation: asId(fields['session_id']),
    about: (asText(fields['notification_type']) ?? tool ?? asText(fields['error']))?.slice(0, 128),
    input: given === undefined ? undefined : createHash('sha256').update(given).digest('hex'),
    ...(known === 'signs' ? { signs: signsOf(fields['tool_input']) } : {}),
    text,
  };
}

/** Lines of what a tool is given. What the model says of it by itself may be the same for two calls. */
function signsOf(input: unknown): string[] {
  const { description, ...told } = typeof input === 'object' && input !== null ? (input as Fields) : {};
  const own = textsIn(told);
  const lines = (own.length > 0 ? own : textsIn(description)).flatMap((text) => {
    const all = text.split('\n').filter((line) => line.trim() !== '');
    const half = MAX_SIGNS_OF_ONE / 2;
    return all.length <= MAX_SIGNS_OF_ONE ? all : [...all.slice(0, half), ...all.slice(-half)];
  });
  return lines.slice(0, MAX_SIGNS).map((line) => line.trim().slice(0, MAX_SIGN));
}

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

function notify(fields: Fields): Fields {
  const text = asText(fields['last-assistant-message']) ?? asText(fields['message']);
  return { event: asText(fields['type'])?.slice(0, 64) ?? '', conversation: asId(fields['thread-id']), text };
}

function asText(value: unknown): string | undefined {
  return typeof value === 'string' ? value.slice(0, MAX_TOLD_TEXT) : undefined;
}

function asId(value: unknown): string | undefined {
  return typeof value === 'string' && value.length <= MAX_TOLD_ID ? value : undefined;
}

function parse(text: string): Fields {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Fields) : {};
  } catch {
    return {};
  }
}

/** All of stdin, or nothing of one that is too long. */
async function input(): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= MAX_INPUT_BYTES) chunks.push(chunk);
    else chunks.length = 0;
  }
  return Buffer.concat(chunks).toString();
}

function tell(message: Fields): void {
  // eslint-disable-next-line no-restricted-properties -- a program of its own: this is how it is told where to go
  const { GATEHOUSE_AGENT_SOCKET: path, GATEHOUSE_AGENT_TOKEN: token } = process.env;
  if (path === undefined) {
    leave();
    return;
  }
  const socket = connect(path).on('error', leave).on('close', leave);
  socket.end(`${JSON.stringify({ token })}\n${JSON.stringify({ type: 'hook', ...message })}\n`);
}

function leave(): void {
  process.exit(0);
}
