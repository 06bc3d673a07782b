import {readFileSync} from 'node:fs';
import {homedir} from 'node:os';
import {join} from 'node:path';
import {parsePasswd} from '@scope/attach';

/** Where things are, for this user and this checkout. */
export interface Settings {
  readonly socketPath: string;
  readonly dist: string;
  readonly injectorPath: string;
  readonly historyDirectory: string;
  readonly version: string;
}

export function settingsOf(env: NodeJS.ProcessEnv, dist: string): Settings {
  return {
    socketPath: env.SCOPE_SOCKET ?? '/run/scope/agent.sock',
    dist,
    injectorPath: env.SCOPE_INJECTOR ?? join(dist, 'native/scope-inject'),
    historyDirectory: env.SCOPE_HISTORY ?? join(homeOfInvoker(env), '.scope/history'),
    version: versionOf(),
  };
}

/** Through sudo: the home of who called it, not root's. */
function homeOfInvoker(env: NodeJS.ProcessEnv): string {
  const invoker = process.geteuid?.() === 0 ? env.SUDO_USER : undefined;
  if (invoker === undefined || invoker === '' || invoker === 'root') return homedir();
  try {
    const entry = parsePasswd(readFileSync('/etc/passwd', 'utf8')).find(({name}) => name === invoker);
    return entry?.home ?? homedir();
  } catch {
    return homedir();
  }
}

/** The bundler puts `{"version","revision"}` there. */
function versionOf(): string {
  const build = process.env.SCOPE_BUILD;
  if (build === undefined) return 'development';
  const {version, revision} = JSON.parse(build) as {version: string; revision: string};
  return `${version} (${revision})`;
}
