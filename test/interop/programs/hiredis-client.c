/* What test/interop/clients.test.ts asks of hiredis: data, errors, a backup and a restore in place, a new connection.
 * Prints one line per step that went right; the first one that did not ends it with exit code 1. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static redisContext *client;

static redisReply *ask(const char *step, int type, int argc, const char **argv, const size_t *lengths) {
  redisReply *reply = redisCommandArgv(client, argc, argv, lengths);
  if (reply == NULL) {
    fprintf(stderr, "%s: %s\n", step, client->errstr);
    exit(1);
  }
  if (reply->type != type) {
    fprintf(stderr, "%s: a reply of type %d: %s\n", step, reply->type, reply->str == NULL ? "" : reply->str);
    exit(1);
  }
  return reply;
}

static redisReply *words(const char *step, int type, int argc, const char **argv) {
  return ask(step, type, argc, argv, NULL);
}

#define WORDS(step, type, ...)                                                      \
  words(step, type, sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *), (const char *[]){__VA_ARGS__})

static void expect(const char *step, int holds) {
  if (!holds) {
    fprintf(stderr, "%s: not as expected\n", step);
    exit(1);
  }
  printf("%s\n", step);
}

static void open_connection(int port) {
  client = redisConnect("127.0.0.1", port);
  if (client == NULL || client->err) {
    fprintf(stderr, "connect: %s\n", client == NULL ? "no memory" : client->errstr);
    exit(1);
  }
}

int main(int argc, char **argv) {
  int port = argc > 1 ? atoi(argv[1]) : 0;
  char id[32];
  open_connection(port);

  const char *binary[] = {"SET", "bin\0ary", "v\0\r\n"};
  const size_t lengths[] = {3, 7, 4};
  expect("binary SET", strcmp(ask("SET", REDIS_REPLY_STATUS, 3, binary, lengths)->str, "OK") == 0);
  const char *get[] = {"GET", "bin\0ary"};
  redisReply *value = ask("GET", REDIS_REPLY_STRING, 2, get, lengths);
  expect("binary GET", value->len == 4 && memcmp(value->str, "v\0\r\n", 4) == 0);
  expect("integer", WORDS("INCR", REDIS_REPLY_INTEGER, "INCR", "count")->integer == 1);
  WORDS("GET", REDIS_REPLY_NIL, "GET", "none");
  expect("nil", 1);
  expect("array", WORDS("MGET", REDIS_REPLY_ARRAY, "MGET", "count", "none")->elements == 2);

  expect("WRONGTYPE", strncmp(WORDS("SORT", REDIS_REPLY_ERROR, "SORT", "count")->str, "WRONGTYPE ", 10) == 0);
  expect("unknown command", strncmp(WORDS("HSET", REDIS_REPLY_ERROR, "HSET", "h", "f", "v")->str, "ERR unknown command", 19) == 0);

  redisAppendCommand(client, "SET piped 1");
  redisAppendCommand(client, "INCR piped");
  redisReply *first = NULL, *second = NULL;
  expect("pipeline", redisGetReply(client, (void **)&first) == REDIS_OK && redisGetReply(client, (void **)&second) == REDIS_OK &&
                         second->type == REDIS_REPLY_INTEGER && second->integer == 2);

  redisReply *created = WORDS("CREATE", REDIS_REPLY_ARRAY, "ADMIN.BACKUP", "CREATE");
  expect("backup", created->elements > 2 && strcmp(created->element[0]->str, "id") == 0 && created->element[1]->integer > 0);
  snprintf(id, sizeof id, "%lld", created->element[1]->integer);
  WORDS("SET", REDIS_REPLY_STATUS, "SET", "count", "99");
  expect("an error of ADMIN.BACKUP",
         strncmp(WORDS("INFO", REDIS_REPLY_ERROR, "ADMIN.BACKUP", "INFO", "4711")->str, "BACKUPNOTFOUND ", 15) == 0);
  WORDS("RESTORE", REDIS_REPLY_ARRAY, "ADMIN.BACKUP", "RESTORE", id);
  expect("restore in place", strcmp(WORDS("GET", REDIS_REPLY_STRING, "GET", "count")->str, "1") == 0);

  expect("reconnect", redisReconnect(client) == REDIS_OK);
  expect("data after it", strcmp(WORDS("GET", REDIS_REPLY_STRING, "GET", "count")->str, "1") == 0);
  redisFree(client);
  return 0;
}
