/** SORT on what there is, WAIT without replicas, and DEBUG refused: side by side with a real redis-server. */
import t from 'tap';
import { startPair } from '../support/differential.js';

const pair = await startPair(t);

const sorts = ['SORT', 'SORT_RO'].map(
  (name) => `
  ${name}
  ${name} none
  ${name} text
  ${name} number
  ${name} '' ALPHA
  ${name} none ASC DESC ALPHA asc desc alpha
  ${name} none BY x BY *
  ${name} none BY
  ${name} none GET # GET x* GET y
  ${name} none GET
  ${name} none LIMIT 0 10
  ${name} none LIMIT -5 -1 LIMIT 1 2
  ${name} none LIMIT 0
  ${name} none LIMIT
  ${name} none LIMIT x 1
  ${name} none LIMIT 1 x
  ${name} none LIMIT 1 1.5
  ${name} none LIMIT 9223372036854775808 1
  ${name} none NOPE
  ${name} none STORE
  ${name} text STORE text
  ${name} text NOPE
  ${name} text LIMIT x 1
  ${name} none STORE number
  EXISTS number
  SET number 2 EX 100
  ${name} none BY x LIMIT 0 1 GET y ALPHA DESC STORE number
  EXISTS number
  ${name} none STORE number
  ${name} none STORE a STORE b
  MSET a 1 b 2
  ${name} none STORE a STORE b
  MGET a b
  ${name} gone
  ${name} gone STORE b
  MULTI
  ${name} none
  ${name} text
  ${name} none STORE text
  GET text
  EXEC
  SET text abc`,
);

await pair.same(t, 'SORT and SORT_RO', `MSET text abc number 1\nSET gone 1 PXAT 1\n${sorts.join('\n')}`);

await pair.same(
  t,
  'WAIT',
  `
  WAIT 0 0
  WAIT 0 100
  WAIT -1 0
  WAIT 1 1
  WAIT 9223372036854775807 1
  WAIT 9223372036854775808 0
  WAIT x 0
  WAIT '' 0
  WAIT 0 x
  WAIT 0 1.5
  WAIT 0 -1
  WAIT 0 9223372036854775807
  WAIT 0 9223372036854775808
  WAIT 0 9000000000000000000
  WAIT 0
  WAIT 0 0 0
  MULTI
  WAIT 1 0
  WAIT x 0
  EXEC`,
);

await pair.same(
  t,
  'DEBUG',
  `
  DEBUG
  DEBUG SLEEP 0
  DEBUG HELP
  debug object k
  MULTI
  SET k v
  DEBUG SLEEP 0
  EXEC
  EXISTS k`,
);

t.test('nothing of that needed a difference', async (t) => {
  t.same([...pair.met], []);
});
