/** Reads `git status --porcelain=v2 -z --branch`. Paths are bytes: git knows no encoding. */

export interface Change {
  readonly path: Buffer;
  /** Before a rename or copy. */
  readonly oldPath?: Buffer;
  /** One letter each, `.` for unchanged. */
  readonly index: string;
  readonly worktree: string;
  readonly kind: 'changed' | 'renamed' | 'unmerged' | 'untracked' | 'ignored';
  readonly submodule: boolean;
}

export interface ParsedStatus {
  /** Undefined when there is no commit yet. */
  readonly head: string | undefined;
  /** Undefined when detached. */
  readonly branch: string | undefined;
  readonly upstream: string | undefined;
  readonly ahead: number | undefined;
  readonly behind: number | undefined;
  readonly changes: readonly Change[];
}

/** Fields before the path, of each kind of record. */
const FIELDS = { '1': 8, '2': 9, u: 10 } as const;

/**
 * @param output whole records; a last one that was cut off is left out
 * @throws Error when it is not what git writes
 */
export function parseStatus(output: Buffer): ParsedStatus {
  const headers = new Map<string, string>();
  const changes: Change[] = [];
  const records = splitRecords(output);
  for (let index = 0; index < records.length; index += 1) {
    const record = records[index] ?? Buffer.alloc(0);
    const kind = String.fromCharCode(record[0] ?? 0);
    if (kind === '#') addHeader(headers, record.toString());
    else if (kind === '?' || kind === '!') changes.push(unknownFile(kind, record));
    else if (kind === '2') {
      index += 1;
      const oldPath = records[index];
      // Its second half may have been cut off.
      if (oldPath) changes.push({ ...trackedFile(kind, record), oldPath });
    } else if (kind === '1' || kind === 'u') changes.push(trackedFile(kind, record));
    else throw new Error('The status has a record of a kind that is not known.');
  }
  return { ...branchOf(headers), changes };
}

/** The pieces that end with NUL. */
export function splitRecords(output: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let start = 0, end = output.indexOf(0); end >= 0; start = end + 1, end = output.indexOf(0, start)) {
    records.push(output.subarray(start, end));
  }
  return records;
}

function addHeader(headers: Map<string, string>, record: string): void {
  const [, name = '', value = ''] = /^# branch\.(\S+) (.*)$/s.exec(record) ?? [];
  headers.set(name, value);
}

function branchOf(headers: ReadonlyMap<string, string>): Omit<ParsedStatus, 'changes'> {
  const oid = headers.get('oid');
  const branch = headers.get('head');
  const [, ahead, behind] = /^\+(\d+) -(\d+)$/.exec(headers.get('ab') ?? '') ?? [];
  return {
    head: oid === '(initial)' ? undefined : oid,
    branch: branch === '(detached)' ? undefined : branch,
    upstream: headers.get('upstream'),
    ahead: ahead === undefined ? undefined : Number(ahead),
    behind: behind === undefined ? undefined : Number(behind),
  };
}

function unknownFile(kind: '?' | '!', record: Buffer): Change {
  const what = kind === '?' ? 'untracked' : 'ignored';
  return { path: record.subarray(2), index: kind, worktree: kind, kind: what, submodule: false };
}

function trackedFile(kind: keyof typeof FIELDS, record: Buffer): Change {
  let start = 0;
  for (let field = 0; field < FIELDS[kind]; field += 1) {
    const end = record.indexOf(' ', start);
    if (end < 0) throw new Error('The status has a record that is too short.');
    start = end + 1;
  }
  const head = record.subarray(0, start).toString('latin1').split(' ');
  const [index = '.', worktree = '.'] = head[1] ?? '';
  const name = kind === '2' ? 'renamed' : kind === 'u' ? 'unmerged' : 'changed';
  return { path: record.subarray(start), index, worktree, kind: name, submodule: head[2]?.startsWith('S') ?? false };
}
