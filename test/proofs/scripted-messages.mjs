/** The Messages API as a script, on loopback: asks for `touch made-by-agent` once when the prompt says so, else greets. */
import { once } from 'node:events';
import { createServer } from 'node:http';

/** @returns its address, and how to end it */
export async function startMessages() {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      if (request.url.startsWith('/v1/messages')) answer(response, body);
      else response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${server.address().port}`, stop };
}

function answer(response, body) {
  const message = {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'scripted',
    content: [],
    stop_reason: null,
  };
  const usage = { input_tokens: 1, output_tokens: 1 };
  const asks = body.includes('run touch') && !hasResult(JSON.parse(body));
  if (!/"stream":\s*true/.test(body)) {
    const whole = { ...message, usage, stop_reason: 'end_turn', content: [{ type: 'text', text: 'hello there' }] };
    response.setHeader('content-type', 'application/json').end(JSON.stringify(whole));
    return;
  }
  response.setHeader('content-type', 'text/event-stream');
  const send = (type, data) => response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
  send('message_start', { message: { ...message, usage } });
  const [block, delta] = asks ? toolUse() : text();
  send('content_block_start', { index: 0, content_block: block });
  send('content_block_delta', { index: 0, delta });
  send('content_block_stop', { index: 0 });
  send('message_delta', { delta: { stop_reason: asks ? 'tool_use' : 'end_turn' }, usage });
  send('message_stop', {});
  response.end();
}

/** Has the tool run? What the client says of tools in general may name results, too. */
const hasResult = ({ messages = [] }) =>
  messages.some(({ content }) => Array.isArray(content) && content.some(({ type }) => type === 'tool_result'));

function toolUse() {
  const input = JSON.stringify({ command: 'touch made-by-agent', description: 'Make a file' });
  return [
    { type: 'tool_use', id: 'toolu_1', name: 'Bash', input: {} },
    { type: 'input_json_delta', partial_json: input },
  ];
}

function text() {
  return [
    { type: 'text', text: '' },
    { type: 'text_delta', text: 'hello there' },
  ];
}
