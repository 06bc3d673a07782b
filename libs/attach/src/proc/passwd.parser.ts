/** One line of passwd(5). */
export interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly home: string;
}

/** Lines that are no entries (comments, NIS) are left out. */
export function parsePasswd(text: string): PasswdEntry[] {
  return text.split('\n').flatMap(line => {
    const [name, , uid, , , home] = line.split(':');
    if (name === undefined || name === '' || home === undefined || !/^\d+$/.test(uid ?? '')) return [];
    return [{name, uid: Number(uid), home}];
  });
}
