#include "checksum.h"

#include <openssl/evp.h>

#include <algorithm>

#include "crc32c.h"
#include "database.h"
#include "operations.h"

namespace cairn {
namespace {

class Sha256Generator : public rocksdb::FileChecksumGenerator {
 public:
  Sha256Generator() : context_(EVP_MD_CTX_new()) {
    ok_ = context_ != nullptr && EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) == 1;
  }
  ~Sha256Generator() override { EVP_MD_CTX_free(context_); }
  Sha256Generator(const Sha256Generator&) = delete;
  Sha256Generator& operator=(const Sha256Generator&) = delete;

  void Update(const char* data, size_t size) override {
    ok_ = ok_ && EVP_DigestUpdate(context_, data, size) == 1;
  }

  void Finalize() override {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    ok_ = ok_ && EVP_DigestFinal_ex(context_, bytes, &size) == 1;
    if (ok_) checksum_.assign(reinterpret_cast<const char*>(bytes), size);
  }

  // Never empty (RocksDB's rule). A digest that failed is one byte long, which no reader takes for a SHA-256.
  std::string GetChecksum() const override { return checksum_; }
  const char* Name() const override { return kSha256Name; }

 private:
  EVP_MD_CTX* context_;
  bool ok_ = false;
  std::string checksum_ = std::string(1, '\0');
};

class Sha256Factory : public rocksdb::FileChecksumGenFactory {
 public:
  std::unique_ptr<rocksdb::FileChecksumGenerator> CreateFileChecksumGenerator(
      const rocksdb::FileChecksumGenContext& context) override {
    // RocksDB asks by name when it verifies a file that another function summed; null says that we cannot.
    const std::string& wanted = context.requested_checksum_func_name;
    if (!wanted.empty() && wanted != kSha256Name) return nullptr;
    return std::make_unique<Sha256Generator>();
  }
  const char* Name() const override { return "cairn-sha256-factory"; }
};

// The Buffer is referenced, not copied, until the promise settles.
class Sha256Worker : public Worker {
 public:
  explicit Sha256Worker(const Napi::CallbackInfo& info)
      : Worker(nullptr),
        bytes_(BytesOf(info[0])),
        env_(info.Env()),
        environment_(info.Env().GetInstanceData<AddonData>()->environment) {
    napi_create_reference(env_, info[0], 1, &buffer_);
  }

 protected:
  rocksdb::Status Execute() override {
    const EnvironmentRun run(environment_.get());
    if (!run.has_begun()) return Closed();
    Sha256Generator generator;
    for (size_t at = 0; at < bytes_.size() && !environment_->stopping.load(); at += kPieceBytes) {
      generator.Update(bytes_.data() + at, std::min(kPieceBytes, bytes_.size() - at));
    }
    generator.Finalize();
    digest_ = generator.GetChecksum();
    if (environment_->stopping.load()) return Closed();
    return digest_.size() > 1 ? rocksdb::Status::OK() : rocksdb::Status::Aborted("SHA-256 failed");
  }

  Napi::Value Result(Napi::Env env) override { return ToBuffer(env, std::move(digest_)); }
  void Finished() override { napi_delete_reference(env_, buffer_); }

 private:
  static constexpr size_t kPieceBytes = 1 << 20;

  const rocksdb::Slice bytes_;
  const napi_env env_;
  const std::shared_ptr<Environment> environment_;
  napi_ref buffer_ = nullptr;
  std::string digest_;
};

}  // namespace

Napi::Value HashBytes(const Napi::CallbackInfo& info) {
  return Worker::Queue(info.Env(), std::make_unique<Sha256Worker>(info));
}

std::shared_ptr<rocksdb::FileChecksumGenFactory> NewSha256Factory() {
  return std::make_shared<Sha256Factory>();
}

Napi::Value Crc32c(const Napi::CallbackInfo& info) {
  const rocksdb::Slice bytes = BytesOf(info[0]);
  const size_t end = std::min<size_t>(bytes.size(), info[2].As<Napi::Number>().Uint32Value());
  const size_t start = std::min<size_t>(end, info[1].As<Napi::Number>().Uint32Value());
  return Napi::Number::New(info.Env(), ExtendCrc32c(0, bytes.data() + start, end - start));
}

}  // namespace cairn
