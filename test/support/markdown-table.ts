/** The cells of each row of the tables in a piece of Markdown, without heads and rules. `\|` in a cell is a bar. */
export function tableRows(markdown: string): string[][] {
  const lines = markdown.split('\n');
  return lines
    .filter((line, n) => line.startsWith('|') && !isRule(line) && !isRule(lines[n + 1] ?? ''))
    .map(line =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map(cell => cell.trim().replaceAll('\\|', '|')),
    );
}

const isRule = (line: string): boolean => /^\|(\s*:?-+:?\s*\|)+$/.test(line);
