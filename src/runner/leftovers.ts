/**
 * Ends what a runner that was killed left running. The kernel hung up on its terminals, so most programs are gone; those
 * that ignore that would live on unseen for ever. The next runner of the same id finds them by the mark of a runner that
 * is dead, and in that one's control groups. Processes of a runner that lives are never among them, not even when it has
 * the same id because somebody copied the data directory.
 */
import { endProcesses, familyOf, withGrouped } from './process-tree.js';
import { isOfDeadRunner, type MarkedProcess, scanForRunners } from './processes.js';
import type { SessionGroup } from './session-group.js';

/**
 * @param id of this runner
 * @param groups those of the dead one's sessions
 * @returns how many processes there were, and how many could not be ended
 */
export async function endLeftovers(
  id: string,
  groups: readonly SessionGroup[],
): Promise<{ readonly found: number; readonly left: number }> {
  const kernelSessions = new Set<number>();
  const found = new Set<number>();
  const look = async (): Promise<MarkedProcess[]> => {
    const table = await scanForRunners();
    const grouped = new Set(groups.flatMap((group) => [...group.processes()]));
    const members = familyOf(
      withGrouped(table, grouped),
      kernelSessions,
      (entry) => grouped.has(entry.pid) || isOfDeadRunner(entry.marker, id),
    );
    for (const { pid } of members) found.add(pid);
    return members;
  };
  const freeze = (): void => {
    for (const group of groups) group.freeze();
  };
  const left = await endProcesses({ look, freeze });
  await Promise.all(groups.map((group) => group.remove()));
  return { found: found.size, left };
}
