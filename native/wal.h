// Reads write batches out of the WAL, in order, from a sequence on. Which state RocksDB's log iterator is in, and what
// may be called then (RocksDB asserts, and a wrong call ends the process):
//
//   none     no iterator: made by GetUpdatesSince, once the database has reached the wanted sequence
//   fresh    just made, Valid: its batch is taken without Next. Made and not Valid: thrown away, Next would abort
//   started  was Valid once: Next is allowed from then on, also at the tail (not Valid, status OK)
//   failed   status not OK: thrown away, and one made anew at the first batch that was not delivered; what fails then is
//            reported. TryAgain (after every log roll) is normal; the others a log that was unlinked, or damage
//
// An unlinked log that an iterator has open is read to its end all the same.
#pragma once

#include <napi.h>
#include <rocksdb/transaction_log.h>

#include <memory>
#include <string>

#include "handle.h"

namespace cairn {

class WalTail : public Attachment {
 public:
  WalTail(std::shared_ptr<Handle> handle, uint64_t from);
  ~WalTail() override;

  // The next batch, whole; a null one at the tail. In the pool. A failure is reported again by the next call.
  rocksdb::Status Next(rocksdb::BatchResult* batch);
  void Detach() override;
  bool detached() const { return detached_; }

  // What the JavaScript objects that own a tail do around a call, on the JavaScript thread. Begin is null where a call
  // may go to the pool, else the promise that says why not.
  Napi::Value Begin(Napi::Env env);
  void End();
  void Close();

  const std::shared_ptr<Handle>& handle() const { return handle_; }

 private:
  // Positions iterator_ on a batch that holds or follows next_; leaves it null at the tail.
  rocksdb::Status Advance();
  // *batch stays null where the iterator stands on what was delivered already.
  rocksdb::Status Take(rocksdb::BatchResult* batch);

  std::shared_ptr<Handle> handle_;
  std::unique_ptr<rocksdb::TransactionLogIterator> iterator_;
  uint64_t next_;          // first sequence that was not delivered yet
  bool delivered_ = false;  // later batches must begin exactly at next_
  bool detached_ = false;
  bool busy_ = false;             // JavaScript thread: a call is in the pool
  bool close_when_idle_ = false;  // JavaScript thread: close() came meanwhile
};

class WalReaderObject : public Napi::ObjectWrap<WalReaderObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  static Napi::Value Make(Napi::Env env, std::shared_ptr<WalTail> tail);
  explicit WalReaderObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Next(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  std::shared_ptr<WalTail> tail_;
};

}  // namespace cairn
