/** The size of this terminal, 80 by 24 when there is none. */
export function terminalSize(): { cols: number; rows: number } {
  const { columns, rows } = process.stdout as { columns?: number; rows?: number };
  return { cols: Math.min(columns ?? 80, 1000) || 80, rows: Math.min(rows ?? 24, 500) || 24 };
}
