/** What the command speaks to: data goes to `out`, talk to `err`. */
export interface Terminal {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Both a person's keyboard and screen are there: questions may be asked. */
  readonly isInteractive: boolean;
  /** stdout is a screen. */
  readonly isScreen: boolean;
  readonly width: number;
  /** One line from the keyboard; undefined at its end. */
  readonly ask: () => Promise<string | undefined>;
}
