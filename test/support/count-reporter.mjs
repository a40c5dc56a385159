/** Prints the outcome alone on the last line, so that a program can read it. */
export default class CountReporter {
  onRunComplete(_contexts, results) {
    // A file that does not even load is a failure too.
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    const skipped = results.numPendingTests + results.numTodoTests;
    this.line = `${results.numPassedTests} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
    process.on('exit', () => process.stdout.write(`${this.line}\n`));
  }
}
