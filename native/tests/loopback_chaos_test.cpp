// Threads that open, send, abort and close at random, on both sides at once, for KWIK_CHAOS_SECONDS (3): whatever arrives is right, what was closed calls back no more, and it all ends. What the
// thread sanitizer is to see. KWIK_SEED repeats the choices, as far as timing lets it.
#include "loopback.h"

#include <atomic>
#include <random>
#include <thread>

namespace kwik::test {
namespace {

using C = abi::ConnectionEvent;
using Random = std::mt19937;
constexpr unsigned threads = 4;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
    const char* given = std::getenv(name);
    return given == nullptr ? otherwise : std::stoull(given);
}

char byte_at(std::size_t offset) { return static_cast<char>(offset * 131 >> 3); }

// What all streams send, from its start.
std::string& content() {
    static std::string bytes = [] {
        std::string made(400'000, '\0');
        for (std::size_t i = 0; i < made.size(); ++i) made[i] = byte_at(i);
        return made;
    }();
    return bytes;
}

struct Counts { std::atomic<int> connections{0}, streams{0}, bytes{0}; };

ConnectionRecord* take(Server& server) {
    std::lock_guard lock(server.mutex);
    return server.accepted < server.connections.size() ? server.connections[server.accepted++].get() : nullptr;
}

StreamRecord* take(ConnectionRecord& connection) {
    std::lock_guard lock(connection.mutex);
    return connection.accepted < connection.streams.size() ? connection.streams[connection.accepted++].get() : nullptr;
}

// Any call that an application may make; results depend on what others do at the same time.
void do_something(StreamRecord& stream, Random& random, std::uint32_t& sent) {
    if (stream.handle == nullptr) return;
    switch (random() % 10) {
    case 0: (void)stream.api->stream_shutdown(stream.handle, abi::shutdown_abort_send, random() % 1000); break;
    case 1: (void)stream.api->stream_shutdown(stream.handle, abi::shutdown_abort_receive, random() % 1000); break;
    case 2: (void)stream.api->stream_shutdown(stream.handle, abi::shutdown_graceful, 0); break;
    case 3: (void)stream.api->stream_shutdown(stream.handle, abi::shutdown_abort_send | abi::shutdown_abort_receive | abi::shutdown_immediate, 5); break;
    case 4: (void)stream.api->stream_receive_set_enabled(stream.handle, 1); break;
    default: {
        const auto left = static_cast<std::uint32_t>(content().size()) - sent;
        const abi::Buffer buffer{std::min<std::uint32_t>(left, random() % 2 == 0 ? random() % 100 : random() % 100'000), reinterpret_cast<std::uint8_t*>(content().data()) + sent};
        if (stream.api->stream_send(stream.handle, &buffer, 1, random() % 8 == 0 ? abi::send_fin : 0u, nullptr) == abi::pending) sent += buffer.length;
    }
    }
}

void check_and_close(StreamRecord& stream, Counts& counts) {
    stream.close();
    std::lock_guard lock(stream.mutex);
    counts.bytes += static_cast<int>(stream.received.size());
    EXPECT_TRUE(content().starts_with(stream.received));
    stream.received = {};
}

// One connection with its streams, and whatever came to the server meanwhile.
void live(Api& api, Server& server, Random& random, Counts& counts) {
    Client client(api, "kwik", {.bidi = 50, .unidi = 50});
    client.start(server.port);
    if (random() % 8 != 0 && !client.until([&] { return client.seen(C::connected) || client.seen(C::shutdown_complete); })) ADD_FAILURE() << "neither connected nor ended";
    ++counts.connections;
    struct Mine { std::unique_ptr<StreamRecord> stream; std::uint32_t sent = 0; };
    std::vector<Mine> streams;
    ConnectionRecord* accepted = nullptr;
    std::vector<std::pair<StreamRecord*, std::uint32_t>> theirs;
    for (unsigned step = 20 + random() % 200; step > 0; --step) {
        switch (random() % 6) {
        case 0: {
            auto stream = std::make_unique<StreamRecord>(api);
            if (api->stream_open(client.handle, random() % 3 == 0 ? abi::open_unidirectional : 0u, StreamRecord::callback, stream.get(), &stream->handle) != abi::success) break;
            (void)stream->start();
            streams.push_back({std::move(stream)});
            ++counts.streams;
            break;
        }
        case 1:
            if (accepted == nullptr) accepted = take(server);
            if (accepted != nullptr) {
                if (StreamRecord* stream = take(*accepted)) theirs.push_back({stream, 0});
            }
            break;
        case 2:
            if (!theirs.empty()) {
                auto& [stream, sent] = theirs[random() % theirs.size()];
                do_something(*stream, random, sent);
            }
            break;
        case 3:
            if (!streams.empty() && random() % 4 == 0) {
                const std::size_t which = random() % streams.size();
                check_and_close(*streams[which].stream, counts);
                streams.erase(streams.begin() + static_cast<std::ptrdiff_t>(which));
            }
            break;
        default:
            if (!streams.empty()) {
                Mine& mine = streams[random() % streams.size()];
                do_something(*mine.stream, random, mine.sent);
            }
        }
    }
    if (random() % 3 == 0) api->connection_shutdown(client.handle, 0, 9);
    if (random() % 3 == 0) client.close();
    for (Mine& mine : streams) check_and_close(*mine.stream, counts);
    if (accepted != nullptr && random() % 2 == 0) accepted->close();
    for (auto& [stream, sent] : theirs) check_and_close(*stream, counts);
}

TEST(LoopbackChaos, Everything_AtRandomFromManyThreads_StaysRightAndEnds) {
    const auto seed = static_cast<unsigned>(from_environment("KWIK_SEED", std::random_device{}()));
    SCOPED_TRACE("KWIK_SEED=" + std::to_string(seed));
    Api api;
    Server server(api, "kwik", {.bidi = 5, .unidi = 5});
    Counts counts;
    // From here on: a busy machine takes its time for the certificate.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(from_environment("KWIK_CHAOS_SECONDS", 3));
    std::vector<std::thread> running;
    for (unsigned t = 0; t < threads; ++t) {
        running.emplace_back([&, t] {
            Random random(seed + t);
            do live(api, server, random, counts);
            while (std::chrono::steady_clock::now() < end && !testing::Test::HasFailure());
        });
    }
    for (std::thread& thread : running) thread.join();
    RecordProperty("connections", counts.connections);
    RecordProperty("streams", counts.streams);
    std::printf("%d connections, %d streams, %d bytes\n", counts.connections.load(), counts.streams.load(), counts.bytes.load());
    // A run that did little proves little.
    EXPECT_GE(counts.connections, static_cast<int>(threads));
    EXPECT_GT(counts.streams, 0);
}

}  // namespace
}  // namespace kwik::test
