import type { Snapshot } from '../client/index.js';
import { tell } from './output.js';
import { emptyScreen, ScreenModes } from './screen-modes.js';
import { terminalSize } from './terminal-size.js';

/** Where a session's output goes: the person's terminal, or the file or pipe that stands in its place. */
export class Screen {
  #modes = new ScreenModes();
  readonly #isTerminal = process.stdout.isTTY;

  /** Output as it comes. @param done called when it is written */
  readonly show = (bytes: Uint8Array, done: () => void): void => {
    if (this.#isTerminal) this.#modes.see(bytes);
    process.stdout.write(bytes, done);
  };

  /** The screen as it is now, in the place of what was shown before. @param done called when it is written */
  readonly replace = ({ offset, bytes }: Snapshot, done: () => void): void => {
    if (this.#isTerminal) {
      process.stdout.write(emptyScreen(this.#modes, terminalSize().rows));
      this.#modes = new ScreenModes();
    } else {
      // A file is asked for from its beginning: what comes instead of it stands for output that is gone.
      tell(`gatehouse: output before offset ${offset} is no longer retained; what follows is the screen at that place`);
    }
    this.show(bytes, done);
  };

  /** The program was left, or ended, in the middle of what it did to the screen. */
  leave(): void {
    process.stdout.write(this.#modes.reset());
  }
}
