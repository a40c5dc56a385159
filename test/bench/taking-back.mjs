/**
 * How long a live terminal outlives the revocation of its token: from the answer to the revocation until the close, on
 * every gateway, over WebSocket.
 *
 *   GATEHOUSE_TOKEN=<an administrator's key> node test/bench/taking-back.mjs http://127.0.0.1:8080 [http://127.0.0.1:8081 …]
 */
import { WebSocket } from 'ws';

const ROUNDS = 30;
const urls = process.argv.slice(2);
const token = process.env.GATEHOUSE_TOKEN;
if (urls.length === 0 || token === undefined) {
  console.error('usage: GATEHOUSE_TOKEN=… node test/bench/taking-back.mjs <url>…');
  process.exit(2);
}

async function call(method, path, body, credential = token) {
  const answer = await fetch(`${urls[0]}/api/v1${path}`, {
    method,
    headers: {
      authorization: `Bearer ${credential}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? {} : answer.json();
}

/** An attached terminal; `closed` resolves with the time of its close. */
function attach(url, session, credential) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws/pty?id=${session}&mode=viewer`, {
    headers: { authorization: `Bearer ${credential}` },
  });
  const closed = new Promise((resolve) => socket.once('close', () => resolve(performance.now())));
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.on('message', (data) => {
      if (String(data).includes('"attached"')) resolve({ closed });
    });
  });
}

const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))];

const { id: session } = await call('POST', '/sessions', { command: ['/bin/cat'] });
const times = urls.map(() => []);
for (let round = 0; round < ROUNDS; round += 1) {
  const made = await call('POST', '/auth/tokens', { ttl_seconds: 600 });
  const terminals = await Promise.all(urls.map((url) => attach(url, session, made.token)));
  await call('POST', '/auth/revocations', { jti: made.jti });
  const answered = performance.now();
  const closes = await Promise.all(terminals.map(({ closed }) => closed));
  closes.forEach((at, index) => times[index].push(Math.max(0, at - answered)));
}
await call('DELETE', `/sessions/${session}`);
times.forEach((each, index) => {
  const sorted = each.sort((a, b) => a - b);
  const [p50, p99] = [percentile(sorted, 0.5), percentile(sorted, 0.99)].map((ms) => ms.toFixed(1));
  console.log(`${urls[index]}: closed p50 ${p50} ms, p99 ${p99} ms after the answer, ${ROUNDS} rounds`);
});
