import { fork } from 'node:child_process';

/** A client's process, and its calls. */
export class ClientProcess {
  #next = 0;
  #calls = new Map();

  constructor() {
    this.child = fork(new URL('client.mjs', import.meta.url), { stdio: 'inherit' });
    this.child.on('message', ({ id, value, error }) => {
      const { resolve, reject } = this.#calls.get(id);
      this.#calls.delete(id);
      if (error === undefined) resolve(value);
      else reject(new Error(error));
    });
  }

  /** Does one of client.mjs's calls. */
  call(name, args) {
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#calls.set(id, { resolve, reject });
      this.child.send({ id, name, args });
    });
  }

  stop() {
    this.child.disconnect();
  }
}
