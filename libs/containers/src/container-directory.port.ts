/** A running container on this machine, as its runtime knows it. */
export interface ContainerFacts {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  /** Id of its first process as the runtime's host sees it. */
  readonly pid: number;
}

/** Finds containers by what people call them. */
export interface ContainerDirectory {
  /** By name, or by id or the start of one; undefined when no such container runs.
   * Rejects with NoContainer when the runtime can't be asked.  */
  find(nameOrId: string): Promise<ContainerFacts | undefined>;
}
