/**
 * What every git that Gatehouse runs is told, whatever the repository's own configuration says. The configuration and
 * the attributes of a repository are data of strangers: each setting here takes away one way in which they make git run
 * a program, look elsewhere, or hide changes. Settings given by the environment stand above all files.
 */

/** The name of a setting, as git has it, and its value. */
export type Setting = readonly [name: string, value: string];

const NO_PROGRAMS: readonly Setting[] = [
  ['core.hooksPath', '/dev/null'],
  ['core.fsmonitor', 'false'],
  ['core.sshCommand', 'ssh'],
  ['core.alternateRefsCommand', 'true'],
  ['core.askPass', ''],
  ['core.editor', ':'],
  ['sequence.editor', ':'],
  ['core.pager', 'cat'],
  // Empties the list of helpers that the repository names.
  ['credential.helper', ''],
  ['diff.external', ''],
  ['gpg.program', 'false'],
  ['gpg.ssh.program', 'false'],
  ['gpg.x509.program', 'false'],
  ['gpg.ssh.defaultKeyCommand', 'false'],
  ['commit.gpgSign', 'false'],
  ['tag.gpgSign', 'false'],
  ['push.gpgSign', 'false'],
  ['log.showSignature', 'false'],
  ['merge.verifySignatures', 'false'],
  ['protocol.allow', 'never'],
  ['protocol.ext.allow', 'never'],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['receive.autogc', 'false'],
  // A fetch of its own, without what the call says about the server.
  ['push.negotiate', 'false'],
];

/** A submodule has a configuration of its own, so git never looks into one for us. */
const NO_SUBMODULES: readonly Setting[] = [
  ['submodule.recurse', 'false'],
  ['fetch.recurseSubmodules', 'false'],
  ['push.recurseSubmodules', 'no'],
  ['diff.ignoreSubmodules', 'dirty'],
  ['diff.submodule', 'short'],
  ['status.submoduleSummary', 'false'],
];

/** What would hide a change, or make the output another than the one that is parsed. */
const PLAIN: readonly Setting[] = [
  ['core.preferSymlinkRefs', 'false'],
  ['core.untrackedCache', 'false'],
  ['diff.orderFile', '/dev/null'],
  ['fetch.writeCommitGraph', 'false'],
  // What a worktree is made with must not change the configuration that it shares.
  ['worktree.useRelativePaths', 'false'],
  ['core.attributesFile', '/dev/null'],
  ['core.excludesFile', '/dev/null'],
  ['core.ignoreStat', 'false'],
  ['core.trustctime', 'true'],
  ['core.checkStat', 'default'],
  // The names and kinds that there are: with other settings one file passes for another.
  ['core.ignoreCase', 'false'],
  ['core.precomposeUnicode', 'false'],
  ['core.fileMode', 'true'],
  ['core.symlinks', 'true'],
  // What a program wrote into the index about files that it is not to look for.
  ['core.untrackedCache', 'false'],
  ['core.splitIndex', 'false'],
  ['core.quotePath', 'false'],
  ['color.ui', 'false'],
  ['diff.noprefix', 'false'],
  ['diff.mnemonicPrefix', 'false'],
  ['diff.relative', 'false'],
  ['i18n.commitEncoding', 'UTF-8'],
  ['i18n.logOutputEncoding', 'UTF-8'],
  ['branch.autoSetupMerge', 'false'],
  ['rerere.enabled', 'false'],
];

const FIXED: readonly Setting[] = [...NO_PROGRAMS, ...NO_SUBMODULES, ...PLAIN];

/** What of the runner's own environment a call over the network may need. */
const NETWORK_VARIABLES = ['SSH_AUTH_SOCK', 'http_proxy', 'https_proxy', 'HTTPS_PROXY', 'no_proxy', 'NO_PROXY'];

/** No transport has this name: a call that is not meant to use the network cannot, not even for a missing object. */
const NO_TRANSPORT = 'none';

/**
 * The environment of git, made from nothing.
 * @param base the runner's own; its PATH (absolute folders only) and HOME are taken
 * @param mark says which runner started it, so that the next one finds it when this one is killed
 */
export function baseEnvironment(
  base: Readonly<Record<string, string | undefined>>,
  mark: Readonly<Record<string, string>>,
): Record<string, string> {
  const path = (base['PATH'] ?? '/usr/bin:/bin').split(':').filter((folder) => folder.startsWith('/'));
  return {
    ...mark,
    PATH: path.join(':'),
    HOME: base['HOME'] ?? '/',
    LANG: 'C.UTF-8',
    LC_ALL: 'C.UTF-8',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_ALLOW_PROTOCOL: NO_TRANSPORT,
    GIT_PROTOCOL_FROM_USER: '0',
    GIT_NO_LAZY_FETCH: '1',
    GIT_LITERAL_PATHSPECS: '1',
    // Replacements and grafts make a history look like another.
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_GRAFT_FILE: '/dev/null',
    GIT_ASKPASS: '',
    SSH_ASKPASS: '',
    GIT_EDITOR: ':',
    GIT_SEQUENCE_EDITOR: ':',
    GIT_PAGER: 'cat',
    GIT_PROXY_COMMAND: '',
    // One word: git starts it without a shell.
    GIT_SSH_COMMAND: 'ssh',
    GIT_SSH_VARIANT: 'ssh',
    ...identity('Gatehouse', 'gatehouse@localhost'),
  };
}

/** Author and committer of what git writes. */
export function identity(name: string, email: string): Record<string, string> {
  return {
    ...{ GIT_AUTHOR_NAME: name, GIT_AUTHOR_EMAIL: email },
    ...{ GIT_COMMITTER_NAME: name, GIT_COMMITTER_EMAIL: email },
  };
}

/** What a call over the network gets beside: the transports it may use, and the runner's agent and proxies. */
export function networkEnvironment(
  base: Readonly<Record<string, string | undefined>>,
  transports: readonly string[],
): Record<string, string> {
  const taken = NETWORK_VARIABLES.flatMap((name) => (base[name] === undefined ? [] : [[name, base[name]] as const]));
  return { ...Object.fromEntries(taken), GIT_ALLOW_PROTOCOL: transports.join(':') };
}

/**
 * Settings as environment variables: unlike `-c`, any name can be given so, and none is seen in the process table.
 * @param own settings for this repository, which stand above the fixed ones
 */
export function settingsEnvironment(own: readonly Setting[]): Record<string, string> {
  const all = [...FIXED, ...own];
  const pairs = all.flatMap(([name, value], index): [string, string][] => [
    [`GIT_CONFIG_KEY_${String(index)}`, name],
    [`GIT_CONFIG_VALUE_${String(index)}`, value],
  ]);
  return { GIT_CONFIG_COUNT: String(all.length), ...Object.fromEntries(pairs) };
}
