import type {Reason} from '@scope/api';

/**
 * What a caller does about it. retry: try again after a pause; wait: something else must change first and will be seen
 * when it does; stall: a person must act; ignore: nothing is wrong any more.
 */
export type Disposition = 'retry' | 'wait' | 'stall' | 'ignore';

export interface ReasonRow {
  readonly disposition: Disposition;
  /** Of the command. See EXIT_CODES for what the numbers mean. */
  readonly exitCode: number;
  /** One sentence for the documentation. */
  readonly meaning: string;
  /** What to do about it; the default for an error's text. */
  readonly advice: string;
}

/** The command's exit codes, as `scope --help` prints them. */
export const EXIT_CODES: Readonly<Record<number, string>> = {
  0: 'done',
  1: 'failed for another reason (see the message)',
  2: 'wrong usage: unknown verb, option or argument',
  3: 'no such process, session or container',
  4: 'the name means several processes and there is no terminal to ask on',
  5: 'the process is already scoped, not scoped, or held by a debugger',
  6: 'the process is of a kind that can not be scoped',
  7: 'the agent or the cluster can not be reached, or does not fit this command',
  8: 'the history can not be written',
  75: 'timed out; trying again may help',
  77: 'not permitted: root or a capability is missing',
  130: 'interrupted',
};

const row = (disposition: Disposition, exitCode: number, meaning: string, advice: string): ReasonRow => ({
  disposition,
  exitCode,
  meaning,
  advice,
});

/** The one table: conditions, exit codes, metric labels and the documentation are read from it. */
export const REASON_TABLE: Readonly<Record<Reason, ReasonRow>> = {
  NotRoot: row(
    'stall',
    77,
    'The command was not run as root.',
    'Run it with sudo: reading and patching another process needs root.',
  ),
  MissingCapability: row(
    'stall',
    77,
    'A capability is missing.',
    'Grant CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_SYS_CHROOT and CAP_DAC_OVERRIDE (the chart’s values.yaml says what each is for).',
  ),
  InvalidArgument: row('stall', 2, 'An argument makes no sense.', 'See `scope help`.'),
  NoSuchProcess: row(
    'stall',
    3,
    'No process has that id or name.',
    'See `scope ps` for the processes that can be scoped.',
  ),
  NoSuchSession: row('ignore', 3, 'No session has that id.', 'See `scope ps` for what is scoped.'),
  AmbiguousName: row('stall', 4, 'Several processes bear that name.', 'Name one of them by its PID.'),
  ProcessExited: row('ignore', 3, 'The process ended meanwhile.', 'Nothing is left to do; start it again and attach.'),
  PIDReused: row(
    'ignore',
    3,
    'The process ended and its id now belongs to another one.',
    'Look again with `scope ps` and attach to the new process if it is the one you mean.',
  ),
  KernelThread: row(
    'stall',
    6,
    'The id belongs to a kernel thread.',
    'Kernel threads have no program to look into; choose a user process.',
  ),
  Zombie: row(
    'ignore',
    6,
    'The process is dead and waits for its parent.',
    'Nothing runs in it any more; look at its parent.',
  ),
  Stopped: row('wait', 5, 'The process is stopped (job control).', 'Continue it (kill -CONT PID) and try again.'),
  AlreadyTraced: row(
    'wait',
    5,
    'Another tool traces the process.',
    'End the debugger or tracer (see TracerPid in /proc/PID/status) and try again.',
  ),
  AlreadyScoped: row(
    'ignore',
    5,
    'The process is scoped already.',
    'See its events with `scope events --pid PID`, or end it with `scope detach PID`.',
  ),
  NotScoped: row('ignore', 5, 'The process is not scoped.', 'See `scope ps` for what is scoped.'),
  UnsupportedArchitecture: row('stall', 6, 'The processor is not supported.', 'Only x86-64 is supported so far.'),
  ThirtyTwoBit: row('stall', 6, 'The program is a 32-bit one.', 'Only 64-bit programs can be scoped.'),
  SeccompStrict: row(
    'stall',
    6,
    'The process runs in strict seccomp mode.',
    'Such a process may only read, write and exit; it can not be scoped.',
  ),
  MemoryMapRefused: row(
    'stall',
    6,
    'The process could not map memory.',
    'Check its limits (ulimit -v, vm.max_map_count, memory cgroup) and its security profile.',
  ),
  NoHookableSites: row(
    'stall',
    6,
    'No system call of the program can be hooked safely.',
    'See `scope check PID` for what was found and why it was left alone.',
  ),
  TextWriteRefused: row(
    'stall',
    6,
    "The kernel refused to write the process's text.",
    'A security module forbids it; see the kernel log.',
  ),
  NoContainer: row('wait', 3, 'No such container runs here.', 'Check its name and that it is running.'),
  ContainerRestarted: row(
    'retry',
    3,
    'The container was started anew meanwhile.',
    'It is attached to again by itself.',
  ),
  AgentUnavailable: row(
    'retry',
    7,
    'The agent can not be reached.',
    'It starts with the first `scope attach`; see its log beside its socket.',
  ),
  NodeGone: row('wait', 7, 'The node does not answer.', 'Its targets end with it; nothing is left to do.'),
  ClusterUnavailable: row('retry', 7, 'The cluster can not be reached.', 'Check `kubectl cluster-info`.'),
  ABIMismatch: row(
    'stall',
    7,
    'Two parts of different versions met.',
    'Build and install agent, injector and decoder from the same version; `scope detach` first.',
  ),
  NotBuilt: row('stall', 7, 'A part of the product is missing.', 'Run `npm run build` in the checkout.'),
  NotSupported: row('stall', 2, 'This does not exist yet.', 'See docs/limits.md.'),
  PartlySeen: row(
    'ignore',
    0,
    'Some of what the process does can not be seen.',
    'See `scope inspect PID` for what, docs/limits.md for why.',
  ),
  HistoryNotWritable: row(
    'stall',
    8,
    'The history can not be written.',
    'Make the folder writable, name another one with --history, or use --no-history.',
  ),
  DiskFull: row(
    'wait',
    8,
    "The history's disk is full.",
    'Free some space or name another folder with --history; events go on to every other place.',
  ),
  ExportFailed: row(
    'retry',
    1,
    'The collector did not take the events.',
    'Check the endpoint; events are kept for a while, then dropped and counted.',
  ),
  Timeout: row('retry', 75, 'It took too long.', 'Try again; the process was left as it was.'),
  Interrupted: row('ignore', 130, 'It was interrupted.', 'What was done so far was undone.'),
  Detached: row('ignore', 0, 'It was detached, as asked.', 'Nothing is left to do.'),
  InternalError: row('retry', 1, 'A fault of this program.', 'Please report it with the message and the agent’s log.'),
};
