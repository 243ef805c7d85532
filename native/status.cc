#include "status.h"

namespace cairn {

Napi::Value StatusError(Napi::Env env, const rocksdb::Status& status) {
  napi_value message = nullptr;
  napi_value error = nullptr;
  const std::string text = status.ToString();
  if (napi_create_string_utf8(env, text.data(), text.size(), &message) != napi_ok ||
      napi_create_error(env, nullptr, message, &error) != napi_ok) {
    return env.Undefined();
  }
  Napi::Object object(env, error);
  Napi::Object detail = Napi::Object::New(env);
  detail.Set("code", Napi::Number::New(env, status.code()));
  detail.Set("subcode", Napi::Number::New(env, status.subcode()));
  detail.Set("severity", Napi::Number::New(env, status.severity()));
  object.Set("status", detail);
  return object;
}

void ThrowStatus(Napi::Env env, const rocksdb::Status& status) {
  const Napi::Value error = StatusError(env, status);
  napi_throw(env, error);
}

rocksdb::Status Closed() {
  return rocksdb::Status::ShutdownInProgress("closed");
}

}  // namespace cairn
