# The addon in native/, built by node-gyp (npm ci calls it) against the system's RocksDB (>= 7.8) and OpenSSL.
# Headers that are not ours come in through -isystem, so that -Wall -Wextra speaks of our code alone.
{
  "targets": [
    {
      "target_name": "cairn",
      "sources": [
        "native/addon.cc",
        "native/below-root.cc",
        "native/cached-reads.cc",
        "native/checksum.cc",
        "native/commits.cc",
        "native/crc32c.cc",
        "native/database.cc",
        "native/file-copy.cc",
        "native/file-copy-worker.cc",
        "native/file-list.cc",
        "native/file-put.cc",
        "native/file-reads.cc",
        "native/file-sizes.cc",
        "native/handle.cc",
        "native/info-log.cc",
        "native/iterator.cc",
        "native/live-files.cc",
        "native/load-memtable.cc",
        "native/lock.cc",
        "native/log-files.cc",
        "native/log-sync.cc",
        "native/options.cc",
        "native/read.cc",
        "native/records.cc",
        "native/replay.cc",
        "native/socket-send.cc",
        "native/status.cc",
        "native/value-cache.cc",
        "native/wal.cc",
        "native/worker.cc",
        "native/write.cc"
      ],
      "defines": ["NAPI_VERSION=8", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "cflags": ["-Wall", "-Wextra"],
      "cflags_cc": ["-std=c++17", "-isystem", "<!(node -p \"require('path').resolve(require('node-addon-api').include_dir)\")"],
      # RocksDB calls back into classes of ours and is built with both; node-gyp turns them off.
      "cflags_cc!": ["-fno-rtti", "-fno-exceptions", "-std=gnu++17", "-std=gnu++20"],
      "cflags_cc+": ["-frtti", "-fexceptions"],
      "libraries": ["-lrocksdb", "-lcrypto"],
      "conditions": [
        [
          "OS=='mac'",
          {
            "variables": {
              "prefix%": "<!(brew --prefix 2>/dev/null || echo /usr/local)"
            },
            "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
            "libraries": ["-L<(prefix)/lib", "-L<(prefix)/opt/openssl@3/lib"],
            "xcode_settings": {
              "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
              "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
              "GCC_ENABLE_CPP_RTTI": "YES",
              "MACOSX_DEPLOYMENT_TARGET": "11.0",
              "OTHER_CPLUSPLUSFLAGS": [
                "-Wall",
                "-Wextra",
                "-isystem<(prefix)/include",
                "-isystem<(prefix)/opt/openssl@3/include"
              ]
            }
          }
        ]
      ]
    }
  ]
}
