/**
 * The peer that everybody can write: `ws` and a PTY in one process, 16 KiB coalescing, pause at 1 MiB.
 *   node test/bench/terminal/plain.mjs <port> <script>
 * Every connection to ws://127.0.0.1:<port>/?arg=<x> runs `sh <script> <x>`; output and input are binary messages.
 */
import { setImmediate } from 'node:timers';
import { Buffer } from 'node:buffer';
import { spawn } from 'node-pty';
import { WebSocketServer } from 'ws';

const COALESCE_BYTES = 16 * 1024;
const PAUSE_BYTES = 1024 * 1024;
const RESUME_BYTES = 256 * 1024;
const [port, script] = process.argv.slice(2);

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(port), perMessageDeflate: false });
server.on('connection', (socket, request) => {
  const args = new URL(request.url, 'ws://plain').searchParams.getAll('arg');
  const pty = spawn('/bin/sh', [script, ...args], { cols: 100, rows: 30, encoding: null });
  let waiting = [];
  let size = 0;
  let paused = false;
  const onSent = () => {
    if (!paused || socket.bufferedAmount > RESUME_BYTES) return;
    paused = false;
    pty.resume();
  };
  const flush = () => {
    if (size === 0) return;
    socket.send(waiting.length === 1 ? waiting[0] : Buffer.concat(waiting, size), onSent);
    waiting = [];
    size = 0;
    if (paused || socket.bufferedAmount <= PAUSE_BYTES) return;
    paused = true;
    pty.pause();
  };
  pty.onData((chunk) => {
    if (size === 0) setImmediate(flush);
    waiting.push(chunk);
    size += chunk.length;
    if (size >= COALESCE_BYTES) flush();
  });
  pty.onExit(() => {
    flush();
    socket.close();
  });
  socket.on('message', (data) => pty.write(data));
  socket.on('error', () => undefined);
  socket.on('close', () => pty.kill());
});
server.on('listening', () => console.log('ready'));
