import { Worker } from 'node:worker_threads';
import type { RenderJob, Screen } from './render.js';

/** A screen that takes longer is given up: the output is made to be slow, and others wait. */
const RENDER_MS = 2500;
/** Starting the thread is nobody's output's fault. */
const START_MS = 10_000;
/** V8's share of the thread's memory; what the emulator takes beside it is bounded by the size of a terminal. */
const LIMITS = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 8 } as const;

interface Waiting {
  readonly prepare: () => RenderJob;
  readonly resolve: (screen: Screen) => void;
  readonly reject: (error: Error) => void;
}

/** What the thread is asked, and answers. */
export interface RenderRequest {
  readonly number: number;
  readonly job: RenderJob;
}
export interface RenderAnswer {
  readonly number: number;
  /** null: there is no telling this screen. */
  readonly screen: Screen | null;
}

/**
 * Makes screens, one after the other, on a thread of its own. Output is a stranger's: whatever it does to the emulator
 * ends that thread at worst, and the next screen gets a new one. Nothing that goes wrong here is thrown but to who asked.
 */
export class ScreenRenderer {
  #worker: Worker | undefined;
  #online = false;
  /** For clients that wait, and in advance; the latter only when nobody waits. */
  readonly #waiting = { now: [] as Waiting[], later: [] as Waiting[] };
  #current: Waiting | undefined;
  /** An answer that comes late must not be taken for the next one's. */
  #number = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param entry the thread's module */
  constructor(private readonly entry: URL = new URL('./worker.js', import.meta.url)) {}

  /** Starts the thread, so that the first screen need not wait for it. */
  warmUp(): void {
    try {
      this.#worker ??= this.#start();
    } catch {
      // No thread is to be had now; who needs a screen tries again, and is told.
    }
  }

  /**
   * Makes a screen. Whoever calls waits for the last call before calling again, which bounds the queue.
   * @param prepare collects the output when it is this one's turn, so that no copies wait
   * @param urgent whether a client waits for it
   * @throws Error when there is no thread, the emulator fails, takes too long, or the screen cannot be told
   */
  render(prepare: () => RenderJob, urgent: boolean): Promise<Screen> {
    return new Promise((resolve, reject) => {
      this.#waiting[urgent ? 'now' : 'later'].push({ prepare, resolve, reject });
      this.#next();
    });
  }

  #next(): void {
    while (this.#current === undefined) {
      this.#current = this.#waiting.now.shift() ?? this.#waiting.later.shift();
      if (this.#current === undefined) return;
      try {
        this.#begin(this.#current);
      } catch (error) {
        this.#drop();
        this.#settle()?.reject(error as Error);
      }
    }
  }

  #begin({ prepare }: Waiting): void {
    this.#worker ??= this.#start();
    this.#number += 1;
    const request: RenderRequest = { number: this.#number, job: prepare() };
    this.#worker.postMessage(request);
    this.#worker.ref();
    this.#allow(this.#online ? RENDER_MS : START_MS);
  }

  #allow(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#fail(new Error('The screen took too long.'));
    }, milliseconds);
  }

  #start(): Worker {
    const worker = new Worker(this.entry, { env: {}, execArgv: [], resourceLimits: LIMITS });
    this.#online = false;
    worker.on('online', () => {
      if (worker !== this.#worker) return;
      this.#online = true;
      if (this.#current !== undefined) this.#allow(RENDER_MS);
    });
    worker.on('message', ({ number, screen }: RenderAnswer) => {
      if (number !== this.#number) return;
      const current = this.#settle();
      if (screen === null) current?.reject(new Error('The screen cannot be told.'));
      else current?.resolve(screen);
      this.#next();
    });
    worker.on('error', (error: Error) => {
      if (worker === this.#worker) this.#fail(error);
    });
    worker.unref();
    return worker;
  }

  #fail(error: Error): void {
    this.#drop();
    this.#settle()?.reject(error);
    this.#next();
  }

  #drop(): void {
    void this.#worker?.terminate();
    this.#worker = undefined;
  }

  /** Whoever had its turn, whose number means nothing any more. */
  #settle(): Waiting | undefined {
    clearTimeout(this.#timer);
    this.#worker?.unref();
    this.#number += 1;
    const current = this.#current;
    this.#current = undefined;
    return current;
  }
}
