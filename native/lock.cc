#include "lock.h"

#include <rocksdb/env.h>

#include "status.h"

namespace cairn {
namespace {

struct HeldLock {
  rocksdb::FileLock* lock = nullptr;

  void Release() {
    if (lock == nullptr) return;
    rocksdb::Env::Default()->UnlockFile(lock).PermitUncheckedError();
    lock = nullptr;
  }
};

}  // namespace

Napi::Value LockFile(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  rocksdb::FileLock* lock = nullptr;
  const rocksdb::Status status = rocksdb::Env::Default()->LockFile(info[0].As<Napi::String>().Utf8Value(), &lock);
  if (!status.ok()) {
    ThrowStatus(env, status);
    return env.Undefined();
  }
  return Napi::External<HeldLock>::New(env, new HeldLock{lock}, [](Napi::Env, HeldLock* held) {
    held->Release();
    delete held;
  });
}

Napi::Value UnlockFile(const Napi::CallbackInfo& info) {
  info[0].As<Napi::External<HeldLock>>().Data()->Release();
  return info.Env().Undefined();
}

}  // namespace cairn
