/** The tests of like-redis.test.ts, Cairn over TLS: the same bytes back as a plain redis-server gives. */
process.env.CAIRN_TEST_TLS = '1';
await import('./like-redis.test.js');
