/** What the command line offers an operator on the machine of the server, with the server's own configuration. */
export { checkConfig } from './config-check.js';
export { examine, type Examination } from './doctor/examine.js';
export { CHECKS, type Finding, type State } from './finding.js';
