/** Splits a pod status's containerID, `runtime://id`; undefined when it has another form. */
export function parseContainerId(text: string): {readonly scheme: string; readonly id: string} | undefined {
  const match = /^([a-z][a-z0-9.-]*):\/\/([0-9A-Za-z_.-]+)$/.exec(text);
  const [, scheme, id] = match ?? [];
  return scheme === undefined || id === undefined ? undefined : {scheme, id};
}
