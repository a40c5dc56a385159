import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { until } from './gateway.js';

const PROGRAM = '/usr/bin/chromium';
const START_MS = 60_000;
/** Nothing that would reach beyond this machine, and no GPU that it may not have. */
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--remote-debugging-port=0',
];

/** Nobody but this machine is found. */
const ALONE = '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1';

/** Whether there is a browser on this machine. Where there is none its tests are skipped, and say so. */
export function hasChromium(): boolean {
  const there = existsSync(PROGRAM);
  if (!there) console.warn(`SKIPPED: the tests in a real browser need ${PROGRAM} (apt-get install chromium)`);
  return there;
}

/** A real browser, of which a page is opened and its document looked at. */
export class Chromium {
  #id = 0;

  private constructor(
    private readonly process: ChildProcess,
    private readonly folder: string,
    private readonly socket: WebSocket,
    private readonly answers: Map<number, (answer: unknown) => void>,
  ) {}

  /**
   * Starts one with a profile of its own.
   * @param flags what names lead to and what is trusted, where that is not this machine by its address alone
   */
  static async open(flags: readonly string[] = [ALONE]): Promise<Chromium> {
    const folder = mkdtempSync(join(tmpdir(), 'gatehouse-chromium-'));
    const process = spawn(PROGRAM, [...FLAGS, ...flags, `--user-data-dir=${folder}`, 'about:blank'], {
      // A group of its own, so that the whole browser can be ended.
      detached: true,
      stdio: 'ignore',
      env: { PATH: globalThis.process.env['PATH'], HOME: folder },
    });
    const page = await pageOf(folder);
    const socket = new WebSocket(page, { perMessageDeflate: false });
    const answers = new Map<number, (answer: unknown) => void>();
    socket.on('message', (data: Buffer) => {
      const { id, result } = JSON.parse(data.toString()) as { id?: number; result?: unknown };
      if (id !== undefined) answers.get(id)?.(result);
    });
    await new Promise((done, reject) => socket.once('open', done).once('error', reject));
    return new Chromium(process, folder, socket, answers);
  }

  /** Goes to a page, and waits until it is there. */
  async goTo(url: string): Promise<void> {
    await this.#ask('Page.navigate', { url });
    const isThere = async (): Promise<boolean> => {
      const now = await this.evaluate('[location.href, document.readyState].join()');
      return typeof now === 'string' && now.startsWith(new URL(url).origin) && now.endsWith(',complete');
    };
    await until(`the page ${url}`, isThere, START_MS);
  }

  /** The value of an expression in the page, or of the promise that it is. */
  async evaluate(expression: string): Promise<unknown> {
    const answer = (await this.#ask('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true })) as {
      result?: { value?: unknown };
    };
    return answer.result?.value;
  }

  /** Ends the browser with all its processes. */
  async close(): Promise<void> {
    this.socket.terminate();
    const gone = new Promise((done) => this.process.once('exit', done));
    if (this.process.pid !== undefined && this.process.exitCode === null) {
      process.kill(-this.process.pid, 'SIGKILL');
      await gone;
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  #ask(method: string, params: object): Promise<unknown> {
    this.#id += 1;
    const id = this.#id;
    return new Promise((done) => {
      this.answers.set(id, (answer) => {
        this.answers.delete(id);
        done(answer);
      });
      this.socket.send(JSON.stringify({ id, method, params }));
    });
  }
}

/** The address by which the first page is steered; the browser leaves its port in a file once it listens. */
async function pageOf(folder: string): Promise<string> {
  let page: string | undefined;
  await until(
    'the browser',
    async () => {
      try {
        const [port = ''] = readFileSync(join(folder, 'DevToolsActivePort'), 'utf8').split('\n');
        const pages = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as Record<string, string>[];
        page = pages.find(({ type }) => type === 'page')?.['webSocketDebuggerUrl'];
      } catch {
        // Not yet.
      }
      return page !== undefined;
    },
    START_MS,
  );
  return page ?? '';
}
