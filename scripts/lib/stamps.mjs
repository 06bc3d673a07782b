// Which parts of a build are current: a file per part holds the hash of the inputs that its output was built from.
import {createHash} from 'node:crypto';
import {existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {root} from './steps.mjs';

/** A part is `{name, inputs, output}`: inputs are files and folders relative to the checkout, output a path. */
export class Stamps {
  /** `salt` goes into every hash: the build's own recipe. */
  constructor(folder, salt) {
    this.folder = folder;
    this.salt = salt;
  }

  isCurrent(part) {
    const stamp = join(this.folder, part.name);
    return existsSync(part.output) && existsSync(stamp) && readFileSync(stamp, 'utf8') === this.hash(part);
  }

  /** Names and contents of every input. A folder named `target` is a build's output, not its input. */
  hash({inputs}) {
    const hash = createHash('sha256').update(this.salt);
    for (const input of inputs) addTo(hash, input);
    return hash.digest('hex');
  }

  write({name}, hash) {
    mkdirSync(this.folder, {recursive: true});
    writeFileSync(join(this.folder, name), hash);
  }
}

function addTo(hash, path) {
  const full = join(root, path);
  if (!existsSync(full)) return;
  if (statSync(full).isDirectory()) {
    const names = readdirSync(full).filter(name => name !== 'target');
    for (const name of names.sort()) addTo(hash, join(path, name));
  } else {
    hash.update(`${path}\0`).update(readFileSync(full));
  }
}
