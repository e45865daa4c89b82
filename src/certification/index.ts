export type { LabelledTree } from './hash-tree.ts';
