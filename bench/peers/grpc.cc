// gRPC unary over a unix socket: one channel, no credentials, one thread and one completion queue
// on each side, which was the quickest of gRPC's ways at the time of writing (the synchronous
// server and the callback API take a quarter longer on one CPU). Modes: "sleep" in the queue, or
// "poll" it.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <optional>

#include "bench/peers/grpc.grpc.pb.h"
#include "bench/peers/program_side.h"
#include "bench/peers/server_process.h"

namespace rtsup::bench {
namespace {

using std::chrono::seconds;
using std::chrono::system_clock;

std::string address_of(const Side& side) { return "unix:" + side.folder + "/socket"; }

// The next event of the queue; nothing when it ended.
void* next_of(grpc::CompletionQueue& queue, bool poll) {
  void* tag = nullptr;
  bool ok = false;
  if (!poll) {
    return queue.Next(&tag, &ok) && ok ? tag : nullptr;
  }
  auto got = grpc::CompletionQueue::TIMEOUT;
  while (got == grpc::CompletionQueue::TIMEOUT) {
    got = queue.AsyncNext(&tag, &ok, gpr_time_0(GPR_CLOCK_MONOTONIC));
  }
  return got == grpc::CompletionQueue::GOT_EVENT && ok ? tag : nullptr;
}

// One call at a time through a completion queue; asked for again when it was answered.
class QueuedCall {
 public:
  QueuedCall(Store::AsyncService& service, grpc::ServerCompletionQueue& queue)
      : service_(service), queue_(queue) {
    ask();
  }
  void proceed(const std::string& value) {
    if (is_answered_) {
      ask();
      return;
    }
    is_answered_ = true;
    GetResponse response;
    response.set_value(value);
    writer_->Finish(response, grpc::Status::OK, this);
  }

 private:
  void ask() {
    is_answered_ = false;
    writer_.reset();
    context_.emplace();
    writer_.emplace(&*context_);
    service_.RequestGet(&*context_, &request_, &*writer_, &queue_, &queue_, this);
  }
  Store::AsyncService& service_;
  grpc::ServerCompletionQueue& queue_;
  std::optional<grpc::ServerContext> context_;
  std::optional<grpc::ServerAsyncResponseWriter<GetResponse>> writer_;
  GetRequest request_;
  bool is_answered_ = false;
};

void serve(const Side& side) {
  const std::string value(side.bytes, 'v');
  Store::AsyncService service;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address_of(side), grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  const auto queue = builder.AddCompletionQueue();
  const auto server = builder.BuildAndStart();
  if (server == nullptr) {
    fail("starting the gRPC server");
  }
  QueuedCall call(service, *queue);
  while (void* tag = next_of(*queue, side.mode == "poll")) {
    static_cast<QueuedCall*>(tag)->proceed(value);
  }
}

Ask connect(const Side& side) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  const auto channel =
      grpc::CreateCustomChannel(address_of(side), grpc::InsecureChannelCredentials(), arguments);
  if (!channel->WaitForConnected(system_clock::now() + seconds(10))) {
    fail("connecting to the gRPC server");
  }
  const std::shared_ptr<Store::Stub> stub = Store::NewStub(channel);
  const auto queue = std::make_shared<grpc::CompletionQueue>();
  return [stub, queue, bytes = side.bytes, poll = side.mode == "poll"] {
    grpc::ClientContext context;
    grpc::Status status;
    GetRequest request;
    GetResponse response;
    request.set_key("item");
    const auto reader = stub->AsyncGet(&context, request, queue.get());
    reader->Finish(&response, &status, &response);
    if (next_of(*queue, poll) != &response || !status.ok() || response.value().size() != bytes) {
      fail("gRPC call");
    }
  };
}

}  // namespace
}  // namespace rtsup::bench

int main(int argc, char** argv) {
  return rtsup::bench::run_side(argc, argv, rtsup::bench::serve, rtsup::bench::connect);
}
