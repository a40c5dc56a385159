/** A coding agent that speaks ACP on stdin and stdout. What it does the prompt says: `ask`, `crash`, `long`, `variables`; else it echoes. */
import { Readable, Writable } from 'node:stream';
import { agent, methods, ndJsonStream, RequestError } from '@agentclientprotocol/sdk';

const loggedIn = !process.argv.includes('no-login');
const cancelled = new Set();
const own = Object.keys(process.env).filter((name) => name.startsWith('GATEHOUSE_AGENT_'));

const app = agent({ name: 'scripted' })
  .onRequest(methods.agent.initialize, () => ({
    protocolVersion: 1,
    agentCapabilities: { loadSession: !process.argv.includes('no-load') },
    authMethods: [],
  }))
  .onRequest(methods.agent.session.new, () => {
    if (!loggedIn) throw RequestError.authRequired();
    return { sessionId: 'conversation-1' };
  })
  .onRequest(methods.agent.session.load, async ({ params, client }) => {
    await say(client, params.sessionId, `resumed ${params.sessionId}\n`);
    return {};
  })
  .onNotification(methods.agent.session.cancel, ({ params }) => void cancelled.add(params.sessionId))
  .onRequest(methods.agent.session.prompt, async ({ params, client }) => {
    const { sessionId } = params;
    const text = params.prompt.map((block) => block.text).join('');
    await say(client, sessionId, `HEARD ${JSON.stringify(text)} \u001b[2Jand\n`);
    if (text.includes('crash')) process.kill(process.pid, 'SIGSEGV');
    if (text.includes('variables')) await say(client, sessionId, `VARIABLES ${own.join(' ')}.\n`);
    if (text.includes('long')) {
      while (!cancelled.delete(sessionId)) await new Promise((done) => setTimeout(done, 20));
      return { stopReason: 'cancelled' };
    }
    if (text.includes('ask')) await ask(client, sessionId);
    return { stopReason: 'end_turn' };
  });

function say(client, sessionId, text) {
  const update = { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text } };
  return client.notify(methods.client.session.update, { sessionId, update });
}

async function ask(client, sessionId) {
  const { outcome } = await client.request(methods.client.session.requestPermission, {
    sessionId,
    toolCall: { toolCallId: 'call-1', title: 'Run rm -rf build' },
    options: [
      { optionId: 'always', name: 'Always', kind: 'allow_always' },
      { optionId: 'once', name: 'Once', kind: 'allow_once' },
      { optionId: 'no', name: 'No', kind: 'reject_once' },
    ],
  });
  await say(client, sessionId, `OUTCOME ${outcome.outcome} ${outcome.optionId ?? ''}\n`);
}

app.connect(ndJsonStream(Writable.toWeb(process.stdout), Readable.toWeb(process.stdin)));
