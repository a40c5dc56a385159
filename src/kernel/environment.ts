/**
 * Environment names that no caller may set, because they make programs run other code or would pass for our own
 * (`GATEHOUSE_*`). One list for the gateway, which refuses them first, and the runner, which refuses them again.
 */
const REFUSED_NAMES = new Set([
  'NODE_OPTIONS',
  'BASH_ENV',
  'ENV',
  'GIT_SSH_COMMAND',
  'GIT_SSH',
  'GIT_EXTERNAL_DIFF',
  'PYTHONSTARTUP',
  'PYTHONPATH',
  'PERL5OPT',
  'PERL5LIB',
  'RUBYOPT',
  'JAVA_TOOL_OPTIONS',
  'PROMPT_COMMAND',
  'SHELLOPTS',
  'BASHOPTS',
  'IFS',
]);

const REFUSED_PREFIXES = ['LD_', 'DYLD_', 'GIT_CONFIG', 'GATEHOUSE_'];

/** What a session inherits of the server's own environment, beside `LC_*`: nothing of it is a secret. */
const INHERITED_NAMES = new Set(['PATH', 'HOME', 'SHELL', 'LANG', 'TZ', 'USER', 'LOGNAME', 'COLORTERM']);

/** Is this variable passed on, from the gateway to the runner and from there to every session? */
export function isInheritedEnvironmentName(name: string): boolean {
  return INHERITED_NAMES.has(name) || /^LC_[A-Z]+$/.test(name);
}

/** May a caller not set this environment variable? Names are case-sensitive, as the system's are. */
export function isRefusedEnvironmentName(name: string): boolean {
  return REFUSED_NAMES.has(name) || REFUSED_PREFIXES.some((prefix) => name.startsWith(prefix));
}
