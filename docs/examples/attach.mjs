// A terminal in 30 lines, written from protocol.md: JSON over the WebSocket that Node and browsers have.
//   GATEHOUSE_TOKEN=… node attach.mjs ws://127.0.0.1:8080 <session>
const [server, session] = process.argv.slice(2);
const { stdin, stdout } = process;

// Without a subprotocol everything is JSON. The address says what to attach to, and how large this terminal is.
const { columns: cols = 80, rows = 24 } = stdout;
const socket = new WebSocket(`${server}/ws/pty?id=${session}&cols=${cols}&rows=${rows}`);
const send = (message) => socket.send(JSON.stringify(message));

// Such a WebSocket cannot set headers, so the credential is the first message.
socket.onopen = () => send({ type: 'authenticate', token: process.env.GATEHOUSE_TOKEN });
socket.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  if (message.type === 'attached') stdin.resume();
  if (message.type === 'snapshot') stdout.write(`\x1bc${message.data}`); // the screen, for a terminal that was reset
  if (message.type === 'output') stdout.write(message.data);
  if (message.type === 'process_exited') process.exitCode = message.exit_code ?? 1;
  if (message.type === 'error') console.error(message.message);
};
socket.onclose = ({ code, reason }) => {
  if (code !== 1000) throw new Error(`closed: ${code} ${reason}`);
  stdin.destroy();
};

if (stdin.isTTY) stdin.setRawMode(true);
stdin.setEncoding('utf8').on('data', (data) => send({ type: 'input', data }));
stdin.pause(); // until the session is attached
stdout.on('resize', () => send({ type: 'resize', cols: stdout.columns, rows: stdout.rows }));
