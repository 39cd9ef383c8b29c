/** `bulla completion bash|zsh|fish`: a script that completes commands and their flags. */
import { Argument, Command } from 'commander';

import { type CommandContext } from '../command.ts';
import { buildWholeProgram, runsItself } from '../program.ts';

/** A leaf command and the words that may follow it, e.g. `trust show` with `--json`. */
type Leaf = { readonly path: readonly string[]; readonly flags: readonly string[] };

export function command(context: CommandContext): Command {
  return new Command('completion')
    .description('Print a completion script for a shell.')
    .addArgument(new Argument('<shell>', 'the shell').choices(['bash', 'zsh', 'fish']))
    .addHelpText('after', '\nExample:\n  $ source <(bulla completion bash)')
    .action(async (shell: string) => {
      const leaves = await allLeaves(context);
      context.terminal.print(shell === 'fish' ? fishScript(leaves) : bashScript(leaves, shell === 'zsh'));
    });
}

async function allLeaves(context: CommandContext): Promise<readonly Leaf[]> {
  const program = await buildWholeProgram(context);
  return program.commands.flatMap((each) => leavesOf(each, []));
}

function leavesOf(each: Command, above: readonly string[]): readonly Leaf[] {
  const path = [...above, each.name()];
  const flags = each.options.filter((option) => !option.hidden).flatMap((option) => option.long ?? []);
  const choices = each.registeredArguments.flatMap((argument) => argument.argChoices ?? []);
  const here: Leaf = { path, flags: [...choices, ...flags, '--help'] };
  return [...(runsItself(each) ? [here] : []), ...each.commands.flatMap((child) => leavesOf(child, path))];
}

/** What may follow each prefix of a command: subcommands, or the leaf's flags. */
function wordsAfter(leaves: readonly Leaf[]): ReadonlyMap<string, readonly string[]> {
  const words = new Map<string, Set<string>>();
  const add = (prefix: string, word: string): void => {
    words.set(prefix, (words.get(prefix) ?? new Set()).add(word));
  };
  for (const { path, flags } of leaves) {
    path.forEach((word, index) => add(path.slice(0, index).join(' '), word));
    for (const flag of flags) add(path.join(' '), flag);
  }
  return new Map([...words].map(([prefix, set]) => [prefix, [...set]]));
}

function bashScript(leaves: readonly Leaf[], zsh: boolean): string {
  const cases = [...wordsAfter(leaves)]
    .toSorted(([a], [b]) => b.length - a.length)
    .map(([prefix, words]) => `    '${prefix === '' ? '' : `${prefix} `}'*) words='${words.join(' ')}' ;;`);
  return `${zsh ? 'autoload -U +X bashcompinit && bashcompinit\n' : ''}_bulla() {
  local typed="\${COMP_WORDS[*]:1:COMP_CWORD-1} " words=''
  case "\${typed# }" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
  [ \${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _bulla bulla`;
}

function fishScript(leaves: readonly Leaf[]): string {
  const isLeaf = new Set(leaves.map(({ path }) => path.join(' ')));
  const lines = [...wordsAfter(leaves)].map(([prefix, words]) => {
    const condition =
      prefix === ''
        ? '__fish_use_subcommand'
        : prefix
            .split(' ')
            .map((word) => `__fish_seen_subcommand_from ${word}`)
            .join('; and ');
    // files are offered only where a command takes them, not where its name is still missing
    const files = isLeaf.has(prefix) ? '' : ' -f';
    return `complete -c bulla${files} -n '${condition}' -a '${words.join(' ')}'`;
  });
  return lines.join('\n');
}
