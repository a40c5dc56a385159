// A client that outlives its connections, written from protocol.md: every byte of output is written once, every byte of
// input typed once, whatever is cut, killed or restarted in between.
//   GATEHOUSE_TOKEN=… node resume.mjs ws://127.0.0.1:8080 <session> [offset to begin at] < input > output
const [server, session, begin] = process.argv.slice(2);
const { stdin, stdout } = process;
const [HEADER, OUTPUT, INPUT, SNAPSHOT] = [16, 1, 2, 3];
const COME_BACK = [1001, 1005, 1006, 1011, 1012, 1013, 4002, 4005]; // any other close code is an answer
const writer = crypto.randomUUID(); // under this name the session counts what we type, over all connections

let wanted = begin === undefined ? null : Number(begin); // offset of the next byte of output; null: a snapshot first
let fragments = []; // of a snapshot that is not complete
let input = Buffer.alloc(0); // what was typed and is not known to be applied,
let [start, sent] = [0, 0]; // the position of its first byte, and of the first that is to be sent
let [controller, user, lost] = [false, null, false]; // whether we may type; who we are; came back without control?
let [socket, attempts, resumeAfter, heard] = [null, 0, null, 0];
const send = (message) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));

function connect() {
  const query = new URLSearchParams({ id: session, writer_id: writer, ...(wanted === null ? {} : { from: wanted }) });
  [heard, fragments] = [Date.now(), []];
  socket = new WebSocket(`${server}/ws/pty?${query}`, 'gatehouse.v1');
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => send({ type: 'authenticate', token: process.env.GATEHOUSE_TOKEN });
  socket.onclose = ({ code, reason }) => onClose(code, reason);
  socket.onmessage = ({ data }) => {
    heard = Date.now();
    if (typeof data === 'string') onControl(JSON.parse(data));
    else onData(Buffer.from(data));
  };
}

function onClose(code, reason) {
  [socket.onclose, socket.onmessage] = [null, null];
  socket.close();
  // Twice as long each time, up to 5 s, and not all clients at once; or when the server said so.
  const pause = resumeAfter ?? Math.min(250 * 2 ** attempts++, 5000) * (0.5 + Math.random());
  [controller, resumeAfter, heard] = [false, null, Infinity];
  if (COME_BACK.includes(code)) return setTimeout(connect, pause);
  if (code !== 1000) throw new Error(`closed: ${code} ${reason}`);
  timers.forEach(clearInterval);
  return stdin.destroy();
}

function onControl({ type, ...message }) {
  if (message.mode !== undefined) controller = message.mode === 'controller'; // attached, mode_changed
  if (message.input_next !== undefined) {
    forget(message.input_next); // attached, input_ack, and the errors that refuse input
    if (type !== 'input_ack') sent = message.input_next; // all from there on is sent again, a little later
  }
  if (type === 'authenticated') user = message.user_id;
  if (type === 'attached') [attempts, lost] = [0, !controller];
  if (type === 'attached' && !message.snapshot) wanted = Math.max(wanted ?? 0, message.from);
  if (type === 'participants' && lost) {
    lost = false; // asked for once: another connection may take it from us and keep it
    const { user_id: other = user } = message.participants.find(({ mode }) => mode === 'controller') ?? {};
    if (other === user) send({ type: 'take_control' }); // the connection that we lost may still have it
  }
  if (type === 'error') console.error(message.message);
  if (type === 'goaway') resumeAfter = message.resume_after_ms;
  if (type === 'process_exited') process.exitCode = message.exit_code ?? 1;
}

function onData(frame) {
  const [type, flags, offset] = [frame[0], frame[1], Number(frame.readBigUInt64BE(8))];
  if (type === OUTPUT) write(frame.subarray(HEADER + wanted - offset), offset + frame.length - HEADER);
  if (type === SNAPSHOT) fragments.push(frame.subarray(HEADER));
  // The screen, for a terminal that was reset, is shown when its last fragment is there.
  if (type === SNAPSHOT && flags === 1) write(Buffer.concat([Buffer.from('\x1bc'), ...fragments]), offset);
}

function write(bytes, next) {
  wanted = next;
  stdout.write(bytes, () => send({ type: 'ack', offset: next })); // a program waits for a controller that lags
}

function forget(next) {
  // A position that goes back says that the session has forgotten us: what we have may have been typed.
  [input, start] = [input.subarray(next < start ? input.length : next - start), next];
  if (input.length < 65_536) stdin.resume();
}

function flush() {
  while (controller && sent < start + input.length) {
    const bytes = input.subarray(sent - start, sent - start + 65_536);
    const frame = Buffer.concat([Buffer.alloc(HEADER), bytes]);
    frame[0] = INPUT;
    frame.writeBigUInt64BE(BigInt(sent), 8);
    socket.send(frame);
    sent += bytes.length;
  }
}

stdin.on('data', (bytes) => {
  input = Buffer.concat([input, bytes]);
  if (input.length > 262_144) stdin.pause(); // until the session has taken some
  flush();
});
const ask = () => (Date.now() - heard > 20_000 ? onClose(1006, 'silent') : send({ type: 'ping' }));
const timers = [setInterval(flush, 100), setInterval(ask, 5000)]; // the server's own pings are not shown to us
connect();
