/** What rewriting costs: kernels in C (needs clang), then a Motoko program. */
import './rewriting.ts';
import './motoko.ts';
