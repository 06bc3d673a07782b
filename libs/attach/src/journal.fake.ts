import type {Journal, JournalEntry, JournalFiles} from './journal.port';

export class FakeJournal implements Journal {
  constructor(private list: JournalEntry[] = []) {}

  put(entry: JournalEntry): void {
    this.remove(entry.pid, entry.startTime);
    this.list.push(entry);
  }

  remove(pid: number, startTime: string): void {
    this.list = this.list.filter(entry => entry.pid !== pid || entry.startTime !== startTime);
  }

  entries(): JournalEntry[] {
    return [...this.list];
  }

  files(pid: number, startTime: string): JournalFiles {
    return {cursor: `/state/${pid}-${startTime}.cursor`, marks: `/state/${pid}-${startTime}.marks`};
  }
}
