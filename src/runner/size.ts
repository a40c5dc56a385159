import { DomainError } from '../kernel/errors.js';
import { MAX_COLS, MAX_ROWS } from '../kernel/terminal.js';

/** @throws DomainError INVALID_ARGUMENT unless it is a size a terminal can have */
export function checkSize(cols: number, rows: number): void {
  const valid = Number.isInteger(cols) && Number.isInteger(rows) && cols >= 1 && rows >= 1;
  if (valid && cols <= MAX_COLS && rows <= MAX_ROWS) return;
  throw new DomainError('INVALID_ARGUMENT', `The size must be 1–${MAX_COLS} columns and 1–${MAX_ROWS} rows.`);
}
