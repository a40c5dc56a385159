import type { Session } from './api.js';
import { plain } from './failure.js';

const HEADINGS = ['ID', 'NAME', 'STATE', 'OWNER', 'SIZE', 'AGE', 'COMMAND'];
const MAX_COMMAND = 40;

/** Sessions for people. */
export function sessionTable(sessions: readonly Session[], now: number): string {
  const rows = sessions.map((session) =>
    [
      session.id,
      session.name,
      session.state,
      session.owner,
      `${session.cols}x${session.rows}`,
      age(now - Date.parse(session.created_at)),
      shorten(session.command.join(' ')),
    ].map(plain),
  );
  const all = [HEADINGS, ...rows];
  const widths = HEADINGS.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const shorten = (text: string): string => (text.length > MAX_COMMAND ? `${text.slice(0, MAX_COMMAND - 1)}…` : text);

/** `12s`, `5m`, `3h`, `2d`. */
function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`;
}
