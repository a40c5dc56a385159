import { delimiter } from 'node:path';
import { isInheritedEnvironmentName } from '../kernel/environment.js';

/** The part of this process's environment that may be passed on: no secret of the server is among it. */
export function inheritedEnvironment(environment: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || !isInheritedEnvironmentName(name)) continue;
    passed[name] = name === 'PATH' ? withoutNpm(value) : value;
  }
  return passed;
}

/** npm puts this package's own tools first in PATH; they are not the user's. */
function withoutNpm(path: string): string {
  return path
    .split(delimiter)
    .filter((folder) => !folder.includes('node_modules') && !folder.includes('node-gyp-bin'))
    .join(delimiter);
}
