/**
 * Globs over names and paths: `*` any run of characters (also /), `?` one, everything else itself. The whole text must
 * match.
 */
export function globToRegExp(glob: string): RegExp {
  const source = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replace(/\?/g, '.');
  return new RegExp(`^${source}$`, 's');
}

/** True when one of the globs matches; an empty list matches nothing. */
export function globMatcher(globs: readonly string[]): (text: string) => boolean {
  const patterns = globs.map(globToRegExp);
  return text => patterns.some(pattern => pattern.test(text));
}
