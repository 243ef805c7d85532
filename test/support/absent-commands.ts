/**
 * The commands of redis-server 7.0 that Cairn does not have, by family: each answers `unknown command`. A test holds the
 * list to both programs, docs/compatibility.md shows it.
 */
export const absentCommands: Readonly<Record<string, readonly string[]>> = {
  Hashes: words(
    'hdel hexists hget hgetall hincrby hincrbyfloat hkeys hlen hmget hmset hrandfield hscan hset hsetnx hstrlen hvals',
  ),
  Lists: words(
    'blmove blmpop blpop brpop brpoplpush lindex linsert llen lmove lmpop lpop lpos lpush lpushx lrange lrem lset ltrim rpop rpoplpush rpush rpushx',
  ),
  Sets: words(
    'sadd scard sdiff sdiffstore sinter sintercard sinterstore sismember smembers smismember smove spop srandmember srem sscan sunion sunionstore',
  ),
  'Sorted sets': words(
    'bzmpop bzpopmax bzpopmin zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard zinterstore zlexcount zmpop zmscore zpopmax zpopmin zrandmember zrange zrangebylex zrangebyscore zrangestore zrank zrem zremrangebylex zremrangebyrank zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion zunionstore',
  ),
  Streams: words(
    'xack xadd xautoclaim xclaim xdel xgroup xinfo xlen xpending xrange xread xreadgroup xrevrange xsetid xtrim',
  ),
  Geo: words(
    'geoadd geodist geohash geopos georadius georadius_ro georadiusbymember georadiusbymember_ro geosearch geosearchstore',
  ),
  HyperLogLog: words('pfadd pfcount pfdebug pfmerge pfselftest'),
  'Publish/subscribe': words(
    'psubscribe publish pubsub punsubscribe spublish ssubscribe subscribe sunsubscribe unsubscribe',
  ),
  'Scripts and functions': words('eval eval_ro evalsha evalsha_ro fcall fcall_ro function script'),
  Cluster: words('asking cluster readonly readwrite'),
  Replication: words('failover psync replconf replicaof slaveof sync'),
  Others: words('bgrewriteaof lolwut module restore-asking migrate'),
};

function words(text: string): string[] {
  return text.split(' ');
}
