/** The thread that makes screens: going through output takes time, which typing in other sessions must not wait for. */
import { parentPort } from 'node:worker_threads';
import { render, type RenderJob } from './render.js';

parentPort?.on('message', (job: RenderJob) => {
  void render(job).then((screen) => {
    parentPort?.postMessage(screen);
  });
});
