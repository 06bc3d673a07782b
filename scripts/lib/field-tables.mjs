// What a custom resource definition says of its fields, as tables for people.

/**
 * Markdown of the spec's and the status's fields: one row a field, path, type with its bounds, default, meaning; below it what the
 * schema's rules refuse.
 */
export function fieldTables(definition) {
  const {properties} = definition.spec.versions[0].schema.openAPIV3Schema;
  return ['spec', 'status']
    .map(part => `### ${part}\n\n${properties[part].description}\n\n${tableOf(properties[part], part)}`)
    .join('\n\n');
}

function tableOf(schema, part) {
  const rows = [];
  const rules = [];
  visit(schema, part, (path, field, isRequired) => {
    for (const {message} of field['x-kubernetes-validations'] ?? []) rules.push(`- \`${path}\`: ${message}`);
    if (path === part || path.endsWith('[]')) return;
    const short = path.slice(part.length + 1);
    const fallback =
      field.default === undefined ? (isRequired ? 'required' : '') : `\`${JSON.stringify(field.default)}\``;
    rows.push([`\`${short}\``, typeOf(field), fallback, field.description ?? '']);
  });
  const line = cells => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const table = [['field', 'type', 'default', 'meaning'], ['---', '---', '---', '---'], ...rows].map(line).join('\n');
  return rules.length === 0 ? table : `${table}\n\nRefused by the API server otherwise:\n\n${rules.join('\n')}`;
}

/** Every field below and including `schema`, parents first. An item of a list has its list's path and `[]`. */
function visit(schema, path, found, isRequired = false) {
  found(path, schema, isRequired);
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    visit(child, `${path}.${name}`, found, schema.required?.includes(name) === true);
  }
  if (schema.items?.properties === undefined) return;
  for (const [name, child] of Object.entries(schema.items.properties)) {
    visit(child, `${path}[].${name}`, found, schema.items.required?.includes(name) === true);
  }
  for (const {message} of schema.items['x-kubernetes-validations'] ?? []) {
    found(`${path}[]`, {...schema.items, description: '', 'x-kubernetes-validations': [{message}]}, false);
  }
}

function typeOf(schema) {
  if (schema.enum !== undefined) return schema.enum.map(word => `\`${word}\``).join(', ');
  switch (schema.type) {
    case 'array':
      return `list of ${bounds(schema.minItems, schema.maxItems)} ${schema.items.type === 'object' ? 'objects' : `(${typeOf(schema.items)})`}`;
    case 'integer':
      return `integer${schema.maximum === undefined ? `, ${schema.minimum} or more` : ` ${schema.minimum} to ${schema.maximum}`}`;
    case 'string':
      if (schema.format === 'date-time') return 'time (RFC 3339)';
      return `string of ${bounds(schema.minLength, schema.maxLength)} characters${schema.pattern === undefined ? '' : ` that matches \`${schema.pattern}\``}`;
    case 'object':
      return schema.additionalProperties === undefined
        ? 'object'
        : `map of ${bounds(undefined, schema.maxProperties)} to (${typeOf(schema.additionalProperties)})`;
    default:
      return schema.type;
  }
}

const bounds = (least, most) => (least === undefined ? `up to ${most}` : `${least} to ${most}`);
