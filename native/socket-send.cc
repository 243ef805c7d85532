// Sends to many sockets with one call from JavaScript: the system call is the same as Node's, but the objects and callbacks that a
// stream makes for each write are not needed where the system takes the bytes at once, which for small replies is nearly always.
#include <sys/socket.h>

#include <cerrno>

#include "operations.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0  // Node ignores SIGPIPE
#endif

namespace cairn {
namespace {

int32_t SendOnce(int socket, rocksdb::Slice bytes) {
  for (;;) {
    const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) return static_cast<int32_t>(sent);
    if (errno != EINTR) return -errno;
  }
}

}  // namespace

// sendToSockets(sockets: Int32Array, pieces: Buffer[]): sends pieces[i] to the descriptor sockets[i], and leaves in sockets[i] how many
// of its bytes the system took, or what it said instead (below 0: -errno). A piece has less than 2 GiB. Never waits.
Napi::Value SendToSockets(const Napi::CallbackInfo& info) {
  auto sockets = info[0].As<Napi::Int32Array>();
  const auto pieces = info[1].As<Napi::Array>();
  int32_t* slots = sockets.Data();
  const uint32_t count = pieces.Length();
  for (uint32_t i = 0; i < count && i < sockets.ElementLength(); i++) {
    const Napi::HandleScope scope(info.Env());
    slots[i] = SendOnce(slots[i], BytesOf(pieces.Get(i)));
  }
  return info.Env().Undefined();
}

}  // namespace cairn
