/** What --help prints. */
export const usage = `Usage: cairn <command> [options]

Commands:
  serve       serve a data directory (it is created when it is absent)
  adopt DIR   take a copy of a foreign RocksDB or Level directory over as a data directory

Options:
  --help, -h      print this, or the options of a command
  --version, -v   print the version
`;

const settingsHelp = `  --config FILE      read settings from this YAML file
  --set key=value    any setting, e.g. --set backup.retention.max_count=3; may be repeated

The environment gives settings too: CAIRN_BACKUP_RETENTION_MAX_COUNT=3. It wins over the file, the command line over
both. docs/configuration.md lists all settings.
`;

export const serveUsage = `Usage: cairn serve [options]

Serves a data directory until SIGTERM, SIGINT or SHUTDOWN. Prints "cairn ready on <bind>:<port>" to stdout when it
accepts connections; logs go to stderr.

Options:
  --port N           TCP port (7379; 0: a free one; off: none)
  --bind ADDRESS     address to listen on (127.0.0.1)
  --dir DIR          the data directory (./cairn-data)
  --backup-dir DIR   the backup repository (<dir>/backups)
  --data-dir DIR     serve this plain directory, as RESTORE … TO makes it, in place of a data directory
${settingsHelp}`;

export const adoptUsage = `Usage: cairn adopt DIR [--dir DATA_DIR] [options]

Copies a RocksDB directory that another program wrote (LevelDB-style stores such as level-rocksdb included) into a new
data directory and reads every record of the copy once. The original stays byte for byte as it is. The result is served
with keyspace raw: the keys as they are, strings without expiry, one database.

Options:
  --dir DIR          the data directory to make (./cairn-data); absent or empty
${settingsHelp}`;
