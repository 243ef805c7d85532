/** Strings, their parts, bits and fields, side by side with a real redis-server: values, types and error texts. */
import t from 'tap';
import { startPair } from '../support/differential.js';

const pair = await startPair(t);
const numbers = ['0', '1', '-1', '2', '5', '-5', '100', '-100', '9223372036854775807', '-9223372036854775808'];
const notNumbers = ["''", 'x', '1.5', '9223372036854775808', '+1', '01', "' 1'", '1e3'];

/** Every combination of the lists, as lines. */
function lines(...parts: (string | readonly string[])[]): string {
  let all = [''];
  for (const part of parts) {
    const words = typeof part === 'string' ? [part] : part;
    all = all.flatMap((line) => words.map((word) => `${line} ${word}`));
  }
  return all.join('\n');
}

await pair.same(
  t,
  'GETRANGE and SUBSTR of every range',
  `
  SET k 'Hello, world'
  SET e ''
  ${lines(['GETRANGE', 'SUBSTR'], ['k', 'e', 'none'], numbers, numbers)}
  ${lines('GETRANGE k', notNumbers, '1')}
  ${lines('GETRANGE k 1', notNumbers)}
  GETRANGE k
  GETRANGE k 1
  GETRANGE k 1 2 3
  SUBSTR k 0`,
);

await pair.same(
  t,
  'SETRANGE',
  `
  SETRANGE k 0 Hello
  SETRANGE k 6 world
  GET k
  SETRANGE k 2 ''
  SETRANGE none 0 ''
  EXISTS none
  SETRANGE none 5 ''
  SETRANGE pad 5 x
  GET pad
  SETRANGE pad 0 \\x00\\xff
  GET pad
  SETRANGE k -1 x
  ${lines('SETRANGE k', notNumbers, 'x')}
  SETRANGE k 536870912 x
  SETRANGE k 536870911 ''
  SETRANGE k 4294967296 x
  SETRANGE k 9223372036854775807 x
  SET t v EX 100
  SETRANGE t 1 w
  TTL t
  GET t
  SETRANGE k 1
  SETRANGE k 1 a b`,
);

await pair.same(
  t,
  'GETSET, GETEX, PSETEX, MSETNX',
  `
  GETSET k 1
  GETSET k 2
  SET k v EX 100
  GETSET k w
  TTL k
  GETSET k
  GETEX none
  GETEX none EX 10
  GETEX none EX x
  GETEX none NOPE
  GETEX k
  GETEX k EX 100
  TTL k
  GETEX k PERSIST
  TTL k
  GETEX k PX 100000
  TTL k
  GETEX k EX 0
  GETEX k EX -1
  GETEX k EX x
  GETEX k EX
  GETEX k EX 1 PX 1
  GETEX k EX 10 PERSIST
  GETEX k PERSIST EX 10
  GETEX k PERSIST PERSIST
  GETEX k EX 10 EX 20
  TTL k
  GETEX k EX 9223372036854775807
  GETEX k NX
  GETEX k KEEPTTL
  GETEX k exat 4102444800
  EXPIRETIME k
  GETEX k PXAT 4102444800123
  PEXPIRETIME k
  GETEX k EXAT 1
  EXISTS k
  SET k v
  GETEX k PXAT 1
  EXISTS k
  PSETEX p 100000 v
  TTL p
  PSETEX p 0 v
  PSETEX p -1 v
  PSETEX p x v
  PSETEX p 1
  PSETEX p 9223372036854775807 v
  MSETNX a 1 b 2
  MSETNX b 3 c 4
  MGET a b c
  MSETNX c 1 c 2
  GET c
  MSETNX a
  MSETNX a 1 b`,
);

const floats = [
  '0',
  '1',
  '-1',
  '0.1',
  '0.2',
  '3.0e3',
  '5.0e-3',
  '1e20',
  '-1.5',
  '10.50',
  '200',
  '.5',
  '5.',
  '1e17',
  '123456789.987654321',
  '0x10',
  '1e-10',
  '-0',
  '00.50',
  '1E5',
];
await pair.same(
  t,
  'INCRBYFLOAT',
  `
  ${floats.map((a) => floats.map((b) => `SET f ${a}\nINCRBYFLOAT f ${b}\nGET f`).join('\n')).join('\n')}
  DEL f
  INCRBYFLOAT f 10.5
  INCRBYFLOAT f 0.1
  INCRBYFLOAT f -5
  ${lines('INCRBYFLOAT f', ["''", 'x', "' 1'", '1 2', 'nan', 'inf', '-inf', '1e5000', '1e', '.', 'e5', '1.2.3', '0x', '1_0', '+1', '1e4000'])}
  SET f inf
  INCRBYFLOAT f 1
  SET f 'a b'
  INCRBYFLOAT f 1
  SET f 3 EX 100
  INCRBYFLOAT f 1.5e0
  TTL f
  INCRBYFLOAT f`,
);

await pair.same(
  t,
  'LCS',
  `
  MSET a ohmytext b mynewtext e '' one x rep aaaa rep2 aabaa long1 rnapolymerase long2 dnapolymerases
  ${lines('LCS', ['a', 'e', 'one', 'rep', 'long1', 'none'], ['b', 'e', 'one', 'rep2', 'long2', 'none'], ['', 'LEN', 'IDX', "'IDX' MINMATCHLEN 2", 'IDX WITHMATCHLEN', 'IDX MINMATCHLEN 4 WITHMATCHLEN'])}
  LCS a b IDX LEN
  LCS a b NOPE
  LCS a b MINMATCHLEN
  LCS a b MINMATCHLEN x
  LCS a b MINMATCHLEN -1 IDX
  LCS a b WITHMATCHLEN
  LCS a`,
);

await pair.same(
  t,
  'SETBIT and GETBIT',
  `
  ${lines('SETBIT b', ['0', '1', '7', '8', '9', '31', '100'], ['1', '0', '1'])}
  GET b
  ${lines('GETBIT b', ['0', '1', '7', '8', '31', '32', '100', '101', '4294967295'])}
  ${lines('SETBIT b', ["''", 'x', '-1', '4294967296', '1.5', '99999999999999', '01'], '1')}
  ${lines('SETBIT b 1', ["''", '2', '-1', 'x', '01'])}
  ${lines('GETBIT b', ["''", 'x', '-1', '4294967296'])}
  GETBIT none 5
  SET t v EX 100
  SETBIT t 0 1
  TTL t
  SETBIT b 1
  GETBIT b`,
);

const ends = ['0', '1', '2', '-1', '-2', '-3', '5', '100', '-100'];
await pair.same(
  t,
  'BITCOUNT and BITPOS',
  `
  SET k foobar
  SET z \\x00\\x00\\x00
  SET o \\xff\\xff\\xff
  SET m \\xff\\xf0\\x00
  SET n \\x00\\x0f\\xff
  SET e ''
  ${lines('BITCOUNT', ['k', 'z', 'o', 'm', 'e', 'none'])}
  ${lines('BITCOUNT', ['k', 'm', 'e', 'none'], ends, ends, ['', 'BYTE', 'BIT'])}
  ${lines('BITPOS', ['k', 'z', 'o', 'm', 'n', 'e', 'none'], ['0', '1'])}
  ${lines('BITPOS', ['k', 'z', 'o', 'm', 'n', 'e', 'none'], ['0', '1'], ends)}
  ${lines('BITPOS', ['z', 'o', 'm', 'n'], ['0', '1'], ['0', '1', '-1', '7', '-9'], ['0', '1', '-1', '12', '100'], ['', 'BIT', 'byte'])}
  BITCOUNT k 0
  BITCOUNT k 0 1 2
  BITCOUNT k 0 1 BIT 5
  BITCOUNT k x 1
  BITCOUNT k 1 x
  BITCOUNT none x 1
  BITPOS k 2
  BITPOS k x
  BITPOS k 1 x
  BITPOS k 1 0 x
  BITPOS k 1 0 1 NOPE
  BITPOS k 1 0 1 BIT 5
  BITPOS none 2
  BITPOS k`,
);

await pair.same(
  t,
  'BITOP',
  `
  MSET a foobar b abcdef c x e ''
  ${lines('BITOP', ['AND', 'or', 'XOR'], 'd', ['a', 'a b', 'a b c', 'a none', 'none', 'e', 'e none', 'a e'])}
  GET d
  BITOP NOT d a
  GET d
  BITOP NOT d none
  EXISTS d
  BITOP NOT d a b
  BITOP NOPE d a
  BITOP AND d
  SET t v EX 100
  BITOP AND t a
  TTL t
  BITOP AND a a a
  GET a`,
);

const types = ['u8', 'i8', 'u1', 'i1', 'u63', 'i64', 'u5', 'i5'];
await pair.same(
  t,
  'BITFIELD',
  `
  ${lines('BITFIELD f GET', types, ['0', '3', '#1', '100'])}
  ${lines('BITFIELD f SET', types, ['0', '5', '#1'], ['0', '1', '-1', '255', '256', '9223372036854775807'])}
  ${lines('BITFIELD f OVERFLOW', ['WRAP', 'SAT', 'FAIL'], 'INCRBY', types, '3', ['1', '-1', '100', '-200', '9223372036854775807', '-9223372036854775808'])}
  GET f
  BITFIELD f GET u8 0 SET u8 0 200 INCRBY u8 0 100 OVERFLOW SAT INCRBY u8 0 100 OVERFLOW FAIL INCRBY u8 0 100 GET u8 0
  BITFIELD new OVERFLOW FAIL INCRBY u2 0 10
  EXISTS new
  STRLEN new
  BITFIELD f
  BITFIELD
  ${lines('BITFIELD f GET', ['u64', 'i65', 'u0', 'x8', 'u', '8', 'u08', 'U8', 'i100'], '0')}
  ${lines('BITFIELD f GET u8', ["''", 'x', '-1', '#-1', '#', '1.5', '4294967288', '4294967296', '#536870912'])}
  BITFIELD f SET u8 0
  BITFIELD f SET u8 0 x
  BITFIELD f INCRBY u8 0 x
  BITFIELD f OVERFLOW NOPE
  BITFIELD f OVERFLOW
  BITFIELD f NOPE u8 0
  BITFIELD f GET u8 0 NOPE
  BITFIELD_RO f GET u8 0 GET i8 3
  BITFIELD_RO f SET u8 0 1
  BITFIELD_RO none GET u8 0
  BITFIELD_RO f OVERFLOW SAT GET u8 0
  SET t v EX 100
  BITFIELD t SET u8 0 65
  TTL t`,
);

await pair.same(
  t,
  'keys: RENAMENX, COPY, MOVE, TOUCH, EXPIRETIME',
  `
  MSET a 1 b 2
  RENAMENX a b
  RENAMENX a c
  RENAMENX a c
  RENAMENX b b
  RENAMENX none x
  RENAMENX a
  SET e v EX 100
  RENAMENX e e2
  TTL e2
  COPY b d
  COPY b d
  COPY b d REPLACE
  COPY b b
  COPY b b DB 1
  COPY b b DB 1
  COPY b b DB 1 REPLACE
  COPY none x
  COPY e2 e3
  TTL e3
  ${lines('COPY b x DB', ['-1', '16', '99', 'x', '1.5', '99999999999'])}
  COPY b x DB
  COPY b x NOPE
  COPY b
  MOVE b 1
  MOVE c 2
  MOVE c 2
  EXISTS c
  MOVE d 0
  ${lines('MOVE d', ['-1', '16', 'x', '99999999999'])}
  MOVE none 1
  SELECT 2
  GET c
  SELECT 0
  TOUCH b d none b
  TOUCH
  SET k v EXAT 4102444800
  EXPIRETIME k
  PEXPIRETIME k
  PEXPIREAT k 4102444800501
  EXPIRETIME k
  EXPIRETIME none
  PEXPIRETIME none
  SET k v
  EXPIRETIME k
  PEXPIRETIME k
  EXPIRETIME
  FLUSHALL
  RANDOMKEY
  SET only one
  RANDOMKEY
  RANDOMKEY x`,
);

await pair.same(
  t,
  'BITOP of strings whose lengths are no multiples of a word',
  `
  SET one \x81
  SET five \x01\x02\x03\x04\xf5
  SET nine \xff\x0f\xf0\xaa\x55\x00\x11\x22\x33
  SET long '${'0123456789abcde'.repeat(300)}'
  ${lines(
    'BITOP',
    ['AND', 'OR', 'XOR'],
    'to',
    ['one', 'five', 'nine', 'none', 'long'],
    ['five', 'nine', 'long'],
    ['one', 'none', 'nine'],
  )
    .split('\n')
    .flatMap((line) => [line, 'GET to'])
    .join('\n')}
  ${['one', 'five', 'nine', 'none', 'long'].map((key) => `BITOP NOT to ${key}\nGET to`).join('\n')}`,
);
