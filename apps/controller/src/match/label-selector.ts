import type {LabelSelector} from '@scope/api';

type Labels = Readonly<Record<string, string>> | undefined;

/**
 * Whether labels satisfy a selector (metav1.LabelSelector): every label and every expression must hold. An empty
 * selector is satisfied by everything.
 */
export function matchesSelector(selector: LabelSelector, labels: Labels): boolean {
  const wanted = Object.entries(selector.matchLabels ?? {});
  return (
    wanted.every(([key, value]) => labels?.[key] === value) &&
    (selector.matchExpressions ?? []).every(expression => matchesExpression(expression, labels))
  );
}

type Expression = NonNullable<LabelSelector['matchExpressions']>[number];

function matchesExpression({key, operator, values = []}: Expression, labels: Labels): boolean {
  const value = labels?.[key];
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}
