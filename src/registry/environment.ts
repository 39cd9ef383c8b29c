/** What of the machine decides where configuration is found; passed as data so that tests own it. */
import { homedir } from 'node:os';

export type SystemEnvironment = {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The user's home folder. */
  readonly home: string;
  /** The user's numeric ID; 0 is root. */
  readonly uid: number;
  /** The machine's configuration folder: `/etc`. */
  readonly etc: string;
  /** The vendor's configuration folder: `/usr/share`. */
  readonly share: string;
};

/** This process's own environment. */
export function systemEnvironment(): SystemEnvironment {
  return {
    env: process.env,
    home: homedir(),
    uid: process.getuid?.() ?? 0,
    etc: '/etc',
    share: '/usr/share',
  };
}

/** A variable's value; an empty one counts as unset, as it does for the peers. */
export function variable(environment: SystemEnvironment, name: string): string | undefined {
  const value = environment.env[name];
  return value === '' ? undefined : value;
}

/** The user's own configuration folder: `$XDG_CONFIG_HOME` or `~/.config`. */
export function configHome(environment: SystemEnvironment): string {
  return variable(environment, 'XDG_CONFIG_HOME') ?? `${environment.home}/.config`;
}
