import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

export interface Closable {
  close(): Promise<void> | void;
}

/**
 * Everything that one test started, closed in reverse order whatever happened. A closer that fails does not keep the
 * others from running; the first failure is thrown at the end, so that a leak makes the test red.
 */
export class Stage {
  private readonly closers: {what: string; close: () => Promise<void> | void}[] = [];
  private scratch: string | undefined;

  /** Hands `resource` back, to be closed with the stage. */
  use<T extends Closable>(resource: T): T {
    this.closers.push({what: resource.constructor.name, close: () => resource.close()});
    return resource;
  }

  defer(what: string, close: () => Promise<void> | void): void {
    this.closers.push({what, close});
  }

  /** A private folder, gone with the stage. */
  folder(): string {
    if (this.scratch === undefined) {
      const folder = mkdtempSync(join(tmpdir(), 'scope-test-'));
      this.closers.unshift({
        what: folder,
        close: () => {
          rmSync(folder, {recursive: true, force: true});
        },
      });
      this.scratch = folder;
    }
    return mkdtempSync(join(this.scratch, 'd-'));
  }

  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (;;) {
      const closer = this.closers.pop();
      if (closer === undefined) break;
      try {
        await closer.close();
      } catch (thrown) {
        failures.push(thrown instanceof Error ? thrown : new Error(`closing ${closer.what}: ${String(thrown)}`));
      }
    }
    this.scratch = undefined;
    if (failures.length > 0) throw failures[0];
  }
}
