/** Memory that is given back before anybody collects garbage. */
import t from 'tap';
import { releaseMemory } from '../../src/engine/index.js';

t.test('a Buffer of its own is empty afterwards, and the system has its memory again', async (t) => {
  const bytes = Buffer.allocUnsafeSlow(256 << 20).fill(1);
  const before = process.memoryUsage.rss();
  releaseMemory(bytes);
  t.equal(bytes.length, 0);
  t.ok(before - process.memoryUsage.rss() > 200 << 20);
  releaseMemory(bytes);
});

t.test('one that shares its memory with others stays as it is', async (t) => {
  const whole = Buffer.allocUnsafeSlow(100).fill('x');
  releaseMemory(whole.subarray(10, 20));
  releaseMemory(Buffer.from('a part of the pool'));
  t.equal(whole.toString(), 'x'.repeat(100));
});
