import { Worker } from 'node:worker_threads';
import type { RenderJob, Screen } from './render.js';

/** A screen that takes longer is given up: the output is made to be slow, and others wait. */
const RENDER_MS = 5000;
const MAX_HEAP_MB = 256;

interface Waiting {
  readonly prepare: () => RenderJob;
  readonly resolve: (screen: Screen) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Makes screens, one after the other, on a thread of its own. Output is a stranger's: whatever it does to the emulator
 * ends that thread at worst, and the next screen gets a new one.
 */
export class ScreenRenderer {
  #worker: Worker | undefined;
  readonly #waiting: Waiting[] = [];
  #current: Waiting | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** Starts the thread, so that the first screen need not wait for it. */
  warmUp(): void {
    this.#worker ??= this.#start();
  }

  /**
   * Makes a screen. Whoever calls waits for the last call before calling again, which bounds the queue.
   * @param prepare collects the output when it is this one's turn, so that no copies wait
   * @throws Error when the emulator fails or takes too long
   */
  render(prepare: () => RenderJob): Promise<Screen> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ prepare, resolve, reject });
      this.#next();
    });
  }

  #next(): void {
    if (this.#current !== undefined) return;
    this.#current = this.#waiting.shift();
    if (this.#current === undefined) return;
    this.#worker ??= this.#start();
    this.#timer = setTimeout(() => {
      this.#fail(new Error('The screen took too long.'));
    }, RENDER_MS);
    this.#worker.ref();
    this.#worker.postMessage(this.#current.prepare());
  }

  #start(): Worker {
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    });
    worker.on('message', (screen: Screen) => {
      this.#settle()?.resolve(screen);
      this.#next();
    });
    worker.on('error', (error: Error) => {
      if (worker === this.#worker) this.#fail(error);
    });
    worker.unref();
    return worker;
  }

  #fail(error: Error): void {
    void this.#worker?.terminate();
    this.#worker = undefined;
    this.#settle()?.reject(error);
    this.#next();
  }

  #settle(): Waiting | undefined {
    clearTimeout(this.#timer);
    this.#worker?.unref();
    const current = this.#current;
    this.#current = undefined;
    return current;
  }
}
