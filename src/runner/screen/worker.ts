/** The thread that makes screens: going through output takes time, which typing in other sessions must not wait for. */
import { parentPort } from 'node:worker_threads';
import { render } from './render.js';
import type { RenderAnswer, RenderRequest } from './renderer.js';

parentPort?.on('message', ({ number, job }: RenderRequest) => {
  const answer = (screen: RenderAnswer['screen']): void => {
    parentPort?.postMessage({ number, screen } satisfies RenderAnswer);
  };
  // What the emulator itself throws comes from a timer of its own, and ends the thread.
  void render(job).then(answer, () => {
    answer(null);
  });
});
