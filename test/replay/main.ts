/** Prints the state hash of every height of a state directory's history, executed by a process of its own. */
import { readHistory, replay } from './index.ts';

const [stateDir = ''] = process.argv.slice(2);
console.log(JSON.stringify(await replay(await readHistory(stateDir))));
