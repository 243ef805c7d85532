{
  "targets": [
    {
      "target_name": "cairn",
      "sources": ["native/addon.cc"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8"],
      "cflags_cc": ["-std=c++17"],
      "libraries": ["-lrocksdb", "-lcrypto"]
    }
  ]
}
