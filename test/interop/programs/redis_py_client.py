"""What test/interop/clients.test.ts asks of redis-py: data, errors, a backup and a restore in place, new connections.
Prints one line per step that went right; an exception ends it with exit code 1."""
import sys

import redis


def expect(step, holds):
    if not holds:
        raise AssertionError(step)
    print(step)


def error_of(call, *args):
    try:
        call(*args)
    except redis.ResponseError as error:
        return str(error)
    raise AssertionError(f"no error: {args}")


client = redis.Redis(host="127.0.0.1", port=int(sys.argv[1]))
expect("ping", client.ping())
binary = b"\0\xff\r\n"
expect("binary SET", client.set(binary, binary))
expect("binary GET", client.get(binary) == binary)
expect("integer", client.incr("count") == 1)
expect("nil", client.get("none") is None)
expect("array", client.mget("count", "none") == [b"1", None])
expect("expiry", client.set("ends", "v", ex=100) and 90 < client.ttl("ends") <= 100)
expect("scan", set(client.scan_iter()) == {binary, b"count", b"ends"})

expect("WRONGTYPE", error_of(client.sort, "count").startswith("WRONGTYPE "))
expect("an error is an error", "not an integer" in error_of(client.incr, binary))
expect("unknown command", "unknown command" in error_of(client.hset, "h", "f", "v"))

with client.pipeline(transaction=True) as pipe:
    expect("transaction", pipe.set("piped", 1).incr("piped").execute() == [True, 2])
with client.pipeline() as pipe:
    pipe.watch("piped")
    client.set("piped", 10)
    pipe.multi()
    pipe.get("piped")
    try:
        pipe.execute()
        raise AssertionError("WATCH did not hold")
    except redis.WatchError:
        print("watch")

dump = client.dump("piped")
expect("dump and restore", client.restore("copy", 0, dump) and client.get("copy") == b"10")
expect("swapdb", client.swapdb(0, 1) and client.dbsize() == 0 and client.swapdb(0, 1))

created = client.execute_command("ADMIN.BACKUP", "CREATE")
fields = dict(zip(created[::2], created[1::2]))
expect("backup", fields[b"id"] > 0 and fields[b"status"] == b"complete")
client.set("count", 99)
expect("an error of ADMIN.BACKUP", error_of(client.execute_command, "ADMIN.BACKUP", "INFO", "4711").startswith("BACKUPNOTFOUND "))
client.execute_command("ADMIN.BACKUP", "RESTORE", fields[b"id"])
expect("restore in place", client.get("count") == b"1")
client.connection_pool.disconnect()
expect("data after a reconnect", client.get("count") == b"1")
