/** The tests of connection.test.ts over TLS: order, pieces, pipelines, half-closed and slow clients are as they are without. */
process.env.CAIRN_TEST_TLS = '1';
await import('./connection.test.js');
