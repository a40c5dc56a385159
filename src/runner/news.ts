import type { LinkResponse, Participant } from '../kernel/link.js';
import type { Attachment } from './attachment.js';

/** Of many comings and goings the outcome is told; and not all of a crowd. */
const TELL_PARTICIPANTS_MS = 100;
const MAX_TOLD = 50;
/** Clients hear that the program is held when it is so long. */
const TELL_HELD_MS = 250;

/** What everybody attached to a session is told about the others. */
export class News {
  #changed: NodeJS.Timeout | undefined;
  #held: NodeJS.Timeout | undefined;
  #toldHeld = false;

  constructor(private readonly attachments: ReadonlySet<Attachment>) {}

  /** Somebody came, went, took control or has another size. */
  participantsChanged(): void {
    if (this.#changed !== undefined) return;
    this.#changed = setTimeout(() => {
      this.#changed = undefined;
      this.#broadcast({
        type: 'participants',
        participants: [...this.attachments].slice(0, MAX_TOLD).map(asParticipant),
        total: this.attachments.size,
      });
    }, TELL_PARTICIPANTS_MS);
  }

  /** The program waits for the controller, or goes on. */
  held(waits: boolean): void {
    clearTimeout(this.#held);
    const reason = 'controller_lagging';
    if (waits) {
      this.#held = setTimeout(() => {
        this.#toldHeld = true;
        this.#broadcast({ type: 'flow_control', action: 'pause', reason });
      }, TELL_HELD_MS);
    } else if (this.#toldHeld) {
      this.#toldHeld = false;
      this.#broadcast({ type: 'flow_control', action: 'resume', reason });
    }
  }

  #broadcast(message: LinkResponse): void {
    for (const attachment of this.attachments) attachment.sendLatest(message);
  }
}

const asParticipant = ({ mode, cols, rows, options }: Attachment): Participant => ({
  attachment: options.number,
  user_id: options.user,
  mode,
  cols,
  rows,
});
