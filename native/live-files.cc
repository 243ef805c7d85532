// What is on disk: the live files with sizes and checksums, table properties, block verification, RocksDB's checkpoint.
#include <rocksdb/convenience.h>
#include <rocksdb/metadata.h>
#include <rocksdb/table_properties.h>
#include <rocksdb/utilities/checkpoint.h>

#include <limits>
#include <shared_mutex>
#include <vector>

#include "checksum.h"
#include "operations.h"

namespace cairn {
namespace {

const char* KindOf(rocksdb::FileType type) {
  switch (type) {
    case rocksdb::kTableFile: return "table";
    case rocksdb::kBlobFile: return "blob";
    case rocksdb::kWalFile: return "wal";
    case rocksdb::kDescriptorFile: return "manifest";
    case rocksdb::kCurrentFile: return "current";
    case rocksdb::kOptionsFile: return "options";
    case rocksdb::kIdentityFile: return "identity";
    default: return "other";
  }
}

std::string Hex(const std::string& bytes) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text.push_back(digits[byte >> 4]);
    text.push_back(digits[byte & 15]);
  }
  return text;
}

class LiveFilesWorker : public Worker {
 public:
  explicit LiveFilesWorker(const std::shared_ptr<Handle>& handle) : Worker(handle) {}

 protected:
  rocksdb::Status Execute() override {
    rocksdb::LiveFilesStorageInfoOptions options;
    options.include_checksum_info = true;
    options.wal_size_for_flush = std::numeric_limits<uint64_t>::max();  // never flush
    const std::shared_lock<std::shared_mutex> logs_stay(handle()->log_files);
    return db()->GetLiveFilesStorageInfo(options, &files_);
  }

  Napi::Value Result(Napi::Env env) override {
    Napi::Array result = Napi::Array::New(env, files_.size());
    for (uint32_t i = 0; i < files_.size(); i++) result.Set(i, Describe(env, files_[i]));
    return result;
  }

 private:
  static Napi::Object Describe(Napi::Env env, const rocksdb::LiveFileStorageInfo& file) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", file.relative_filename);
    object.Set("directory", file.directory);
    object.Set("kind", KindOf(file.file_type));
    object.Set("number", Napi::Number::New(env, static_cast<double>(file.file_number)));
    object.Set("sizeBytes", Napi::Number::New(env, static_cast<double>(file.size)));
    object.Set("trimToSize", Napi::Boolean::New(env, file.trim_to_size));
    const std::string& contents = file.replacement_contents;
    object.Set("contents", contents.empty() ? env.Null()
                                            : Napi::Buffer<char>::Copy(env, contents.data(), contents.size()).As<Napi::Value>());
    const bool known = file.file_checksum_func_name == kSha256Name && file.file_checksum.size() == 32;
    object.Set("sha256", known ? Napi::String::New(env, Hex(file.file_checksum)).As<Napi::Value>() : env.Null());
    return object;
  }

  std::vector<rocksdb::LiveFileStorageInfo> files_;
};

class TablePropertiesWorker : public Worker {
 public:
  explicit TablePropertiesWorker(const std::shared_ptr<Handle>& handle) : Worker(handle) {}

 protected:
  rocksdb::Status Execute() override { return db()->GetPropertiesOfAllTables(&tables_); }

  Napi::Value Result(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    for (const auto& entry : tables_) {
      const size_t slash = entry.first.find_last_of('/');
      result.Set(slash == std::string::npos ? entry.first : entry.first.substr(slash + 1), Describe(env, *entry.second));
    }
    return result;
  }

 private:
  static Napi::Object Describe(Napi::Env env, const rocksdb::TableProperties& table) {
    Napi::Object object = Napi::Object::New(env);
    const auto number = [&](const char* name, uint64_t value) {
      object.Set(name, Napi::Number::New(env, static_cast<double>(value)));
    };
    number("entries", table.num_entries);
    number("deletions", table.num_deletions);
    number("rangeDeletions", table.num_range_deletions);
    number("dataBytes", table.data_size);
    number("indexBytes", table.index_size);
    number("filterBytes", table.filter_size);
    number("rawKeyBytes", table.raw_key_size);
    number("rawValueBytes", table.raw_value_size);
    number("dataBlocks", table.num_data_blocks);
    number("formatVersion", table.format_version);
    number("createdAt", table.creation_time);
    object.Set("compression", table.compression_name);
    object.Set("filter", table.filter_policy_name);
    object.Set("comparator", table.comparator_name);
    return object;
  }

  rocksdb::TablePropertiesCollection tables_;
};

// Table by table, so that a close stops it between two; the same work as DB::VerifyChecksum otherwise.
class VerifyChecksumsWorker : public Worker {
 public:
  explicit VerifyChecksumsWorker(const std::shared_ptr<Handle>& handle) : Worker(handle) {}

 protected:
  rocksdb::Status Execute() override {
    std::vector<rocksdb::LiveFileMetaData> tables;
    db()->GetLiveFilesMetaData(&tables);
    const rocksdb::Options options = db()->GetOptions();
    for (const rocksdb::LiveFileMetaData& table : tables) {
      if (handle()->stopping.load()) return rocksdb::Status::ShutdownInProgress("verification was stopped");
      const std::string path = table.directory + "/" + table.relative_filename;
      const rocksdb::Status status = rocksdb::VerifySstFileChecksum(
          options, rocksdb::EnvOptions(options), rocksdb::ReadOptions(), path, table.largest_seqno);
      if (status.ok() || (IsMissing(status) && !IsLive(table.file_number))) continue;
      return Named(status, path);
    }
    return rocksdb::Status::OK();
  }

 private:
  static bool IsMissing(const rocksdb::Status& status) {
    return status.IsPathNotFound() || status.IsNotFound() || status.IsIOError();
  }

  // A table that a compaction replaced meanwhile was read, and checked, by that compaction.
  bool IsLive(uint64_t number) const {
    std::vector<rocksdb::LiveFileMetaData> tables;
    db()->GetLiveFilesMetaData(&tables);
    for (const rocksdb::LiveFileMetaData& table : tables) {
      if (table.file_number == number) return true;
    }
    return false;
  }

  static rocksdb::Status Named(const rocksdb::Status& status, const std::string& path) {
    const char* text = status.getState();
    const std::string reason = text == nullptr ? "" : text;
    if (reason.find(path) != std::string::npos) return status;
    return rocksdb::Status(status.code(), status.subcode(), status.severity(), reason + " in " + path);
  }
};

}  // namespace

Napi::Value QueueLiveFiles(Napi::Env env, const std::shared_ptr<Handle>& handle) {
  return Worker::Queue(env, std::make_unique<LiveFilesWorker>(handle));
}

Napi::Value QueueTableProperties(Napi::Env env, const std::shared_ptr<Handle>& handle) {
  return Worker::Queue(env, std::make_unique<TablePropertiesWorker>(handle));
}

Napi::Value QueueVerifyChecksums(Napi::Env env, const std::shared_ptr<Handle>& handle) {
  return Worker::Queue(env, std::make_unique<VerifyChecksumsWorker>(handle));
}

Napi::Value QueueCheckpoint(Napi::Env env, const std::shared_ptr<Handle>& handle, std::string path) {
  Handle* open = handle.get();  // kept alive by the worker
  return CallWorker::Queue(env, handle, [open, path = std::move(path)](rocksdb::DB* db) {
    const std::shared_lock<std::shared_mutex> logs_stay(open->log_files);
    rocksdb::Checkpoint* raw = nullptr;
    rocksdb::Status status = rocksdb::Checkpoint::Create(db, &raw);
    const std::unique_ptr<rocksdb::Checkpoint> checkpoint(raw);
    if (status.ok()) status = checkpoint->CreateCheckpoint(path, std::numeric_limits<uint64_t>::max());
    return status;
  });
}

}  // namespace cairn
