/**
 * Environment names that no caller may set, because they make programs run other code or would pass for our own
 * (`GATEHOUSE_*`). One list for the gateway, which refuses them first, and the runner, which refuses them again.
 */
const REFUSED_NAMES = new Set([
  // Shells.
  ...['BASH_ENV', 'ENV', 'PROMPT_COMMAND', 'SHELLOPTS', 'BASHOPTS', 'IFS', 'PS4', 'ZDOTDIR', 'FPATH'],
  // git: programs that it runs, and where it takes them from.
  ...['GIT_SSH_COMMAND', 'GIT_SSH', 'GIT_EXTERNAL_DIFF', 'GIT_ASKPASS', 'SSH_ASKPASS', 'GIT_EXEC_PATH'],
  ...['GIT_PROXY_COMMAND', 'GIT_TEMPLATE_DIR'],
  // Languages: code that they load first, or look for elsewhere.
  ...['NODE_OPTIONS', 'NODE_PATH', 'NODE_REPL_EXTERNAL_MODULE', 'PYTHONSTARTUP', 'PYTHONPATH', 'PYTHONHOME'],
  ...['PERL5OPT', 'PERL5LIB', 'PERLLIB', 'PERL5DB', 'RUBYOPT', 'RUBYLIB', 'LUA_INIT', 'LUA_PATH', 'LUA_CPATH'],
  ...['JAVA_TOOL_OPTIONS', '_JAVA_OPTIONS', 'JDK_JAVA_OPTIONS', 'DOTNET_STARTUP_HOOKS'],
  ...['PHPRC', 'PHP_INI_SCAN_DIR', 'GCONV_PATH', 'GLIBC_TUNABLES', 'OPENSSL_CONF', 'OPENSSL_MODULES'],
  ...['LESSOPEN', 'LESSCLOSE'],
]);

const REFUSED_PREFIXES = ['LD_', 'DYLD_', 'GIT_CONFIG', 'LUA_INIT', 'GATEHOUSE_'];

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
