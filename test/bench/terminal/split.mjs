/**
 * The least that two processes cost: a server that hands the bytes of every WebSocket to another process with the PTY, over
 * a Unix socket, as they are: no frames, no gate, no offsets. For the echo only; it holds nothing back.
 *   node test/bench/terminal/split.mjs <port> <script> <folder>
 */
import { fork } from 'node:child_process';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath, URL } from 'node:url';
import { spawn } from 'node-pty';
import { WebSocketServer } from 'ws';

const [port, script, folder, part] = process.argv.slice(2);
const path = join(folder, 'split.sock');

/** The process with the PTYs: what a link says first is the argument. */
function behind() {
  const server = createServer((link) => {
    link.once('data', (arg) => {
      const pty = spawn('/bin/sh', [script, arg.toString()], { cols: 100, rows: 30, encoding: null });
      pty.onData((chunk) => link.write(chunk));
      pty.onExit(() => link.end());
      link.on('data', (data) => pty.write(data));
      link.on('close', () => pty.kill());
    });
    link.on('error', () => undefined);
  });
  server.listen(path, () => process.send('ready'));
  process.on('disconnect', () => process.exit());
}

/** The process with the WebSockets. */
function front() {
  const server = new WebSocketServer({ host: '127.0.0.1', port: Number(port), perMessageDeflate: false });
  server.on('connection', (socket, request) => {
    const link = connect(path, () => link.write(new URL(request.url, 'ws://split').searchParams.get('arg')));
    link.on('data', (chunk) => socket.send(chunk));
    link.on('close', () => socket.close());
    link.on('error', () => undefined);
    socket.on('message', (data) => link.write(data));
    socket.on('error', () => undefined);
    socket.on('close', () => link.destroy());
  });
  server.on('listening', () => console.log('ready'));
}

if (part === 'behind') behind();
else fork(fileURLToPath(import.meta.url), [port, script, folder, 'behind']).once('message', front);
