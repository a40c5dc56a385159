import type { Participant } from './messages.js';

/**
 * Whether a client that was controller, and came back as viewer, may take control again without asking its person: when
 * nobody has it, or its own user has, most often by the connection that was lost.
 * @param own the number of its attachment, null where the server gave none
 * @param total how many are attached; more than are listed when there are many
 */
export function mayTakeBack(participants: readonly Participant[], total: number, own: number | null): boolean {
  const controller = participants.find(({ mode }) => mode === 'controller');
  // Among those who are not listed there may be one.
  if (controller === undefined) return participants.length >= total;
  return participants.some(({ attachment, userId }) => attachment === own && userId === controller.userId);
}
