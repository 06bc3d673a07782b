/** A cluster takes its time; what is measured is measured by the specs themselves. */
jest.setTimeout(240_000);
