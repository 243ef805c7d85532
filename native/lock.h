// An operating-system lock on a file, through RocksDB's environment: gone with the process, and refused to the same
// process too.
#pragma once

#include <napi.h>

namespace cairn {

// lockFile(path): External to hand to unlockFile; throws a status.
Napi::Value LockFile(const Napi::CallbackInfo& info);
// unlockFile(external): idempotent.
Napi::Value UnlockFile(const Napi::CallbackInfo& info);

}  // namespace cairn
