/** The word that was probably meant: at most a third of its letters away; undefined when none is that near. */
export function nearest(wrong: string, words: readonly string[]): string | undefined {
  const text = wrong.toLowerCase();
  const ranked = [...new Set(words)]
    .map(word => ({word, far: distance(text, word.toLowerCase())}))
    .filter(({word, far}) => far > 0 && far <= Math.max(1, Math.floor(Math.max(word.length, text.length) / 3)))
    .sort((a, b) => a.far - b.far);
  return ranked[0]?.word;
}

/** " Did you mean WORD?", or nothing. */
export function didYouMean(wrong: string, words: readonly string[]): string {
  const word = nearest(wrong, words);
  return word === undefined ? '' : ` Did you mean ${word}?`;
}

/** Letters to insert, drop, change, or swap with their neighbour (optimal string alignment). */
export function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({length: b.length + 1}, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swap =
        i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? (before[j - 2] ?? 0) + 1 : Infinity;
      row.push(Math.min(change, swap, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    [before, last] = [last, row];
  }
  return last[b.length] ?? 0;
}
