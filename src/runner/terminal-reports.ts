/** What a terminal sends by itself, though nobody has pressed anything: pure. */

/** That its window has or loses the focus, and where the mouse is that moves without a button. */
// eslint-disable-next-line no-control-regex -- control sequences begin with ESC
const REPORTS = /^(?:\x1b\[[IO]|\x1b\[<35;\d+;\d+M)+$/;
const MAX_REPORTS_BYTES = 256;

/** Is there nothing in it but such reports? */
export function isReport(data: Buffer): boolean {
  return data.length <= MAX_REPORTS_BYTES && REPORTS.test(data.toString('latin1'));
}
