/** INFO as fields. */
import type { Redis } from 'ioredis';

export async function infoFields(client: Redis): Promise<Map<string, string>> {
  const lines = (await client.info('everything')).split('\r\n');
  return new Map(
    lines.flatMap((line) =>
      line.includes(':') ? [[line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)] as const] : [],
    ),
  );
}
