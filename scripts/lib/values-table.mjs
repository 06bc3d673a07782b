// A chart's values.yaml as a table for people: one row a value, with the comment above it.
import {isMap, isScalar, parseDocument} from 'yaml';

/** Values that a platform replaces as a whole: one row, whatever is in them. */
const WHOLE = /(^|\.)(resources|securityContext|nodeSelector|tolerations|updateStrategy)$/;

export function valuesTable(text) {
  const rows = [];
  visit(parseDocument(text).contents, '', rows);
  const line = cells => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [['value', 'default', 'meaning'], ['---', '---', '---'], ...rows].map(line).join('\n');
}

function visit(map, prefix, rows) {
  for (const [index, {key, value}] of map.items.entries()) {
    const path = `${prefix}${key.value}`;
    // What stands above the first key of a map is the map's own, as the parser has it.
    const comment = key.commentBefore ?? (index === 0 ? map.commentBefore : undefined);
    const meaning = (comment ?? '')
      .split('\n')
      .map(words => words.trim())
      .join(' ')
      .trim();
    const isLeaf = !isMap(value) || value.items.length === 0 || WHOLE.test(path);
    if (!isLeaf) {
      if (meaning !== '') rows.push([`\`${path}\``, '', meaning]);
      visit(value, `${path}.`, rows);
      continue;
    }
    const fallback = isScalar(value) || !WHOLE.test(path) ? `\`${JSON.stringify(value.toJSON())}\`` : 'see values.yaml';
    rows.push([`\`${path}\``, fallback, meaning]);
  }
}
