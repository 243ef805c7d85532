// A rocksdb::Status as a JavaScript Error: the text as message, `code`, `subcode` and `severity` as numbers in
// `status`. What they mean is decided in src/engine/status.ts.
#pragma once

#include <napi.h>
#include <rocksdb/status.h>

namespace cairn {

// An Error object for a status that is not OK.
Napi::Value StatusError(Napi::Env env, const rocksdb::Status& status);

// Throws it on the calling (JavaScript) thread.
void ThrowStatus(Napi::Env env, const rocksdb::Status& status);

// The status of any call on a database, iterator or reader that was closed.
rocksdb::Status Closed();

}  // namespace cairn
