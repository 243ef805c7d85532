/** Damage to a repository under a running server: its files, lists and segments (support/sweep-running.ts). */
import t from 'tap';
import { sweep } from './support/sweep-running.js';

t.test('E1, E2, E3: every file of a backup, damaged in every way', (t) => sweep(t, (kind) => /^file/.test(kind)));

t.test('E1, E3, B3, B4: every segment, damaged in every way', (t) => sweep(t, (kind) => /segment/.test(kind)));
