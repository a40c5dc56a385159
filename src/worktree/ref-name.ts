/** Longest name of a branch, tag or commit, in bytes: git keeps refs as files. */
const MAX_BYTES = 255;
/** Space, control characters, and what means something to git behind a name. */
const FORBIDDEN = /[\p{Cc} ~^:?*[\\]|\.\.|@\{|\/\/|\/\.|\.lock(?:\/|$)/u;

/** Could this name a branch, tag or commit, by the rules of `git check-ref-format --allow-onelevel`? And it is no option. */
export function isRefName(name: string): boolean {
  if (name === '' || name === '@' || Buffer.byteLength(name) > MAX_BYTES) return false;
  if (/^[-./]/.test(name) || /[./]$/.test(name)) return false;
  return name.isWellFormed() && !FORBIDDEN.test(name);
}
