// What the peer may send without being read: never more than the largest window, however much was read before; and what needs no window goes on when there is none.
#include <chrono>
#include <string>
#include <thread>

#include "connection.h"
#include "loopback.h"

namespace kwik::test {
namespace {

using S = abi::StreamEvent;

// Asks a connection, on its worker, how much more it may send.
struct Allowance final : Actor {
    void execute(Command&) noexcept override {
        of_connection = ngtcp2_conn_get_max_data_left(connection->quic());
        of_stream = ngtcp2_conn_get_max_stream_data_left(connection->quic(), stream);
    }
    Connection* connection = nullptr;
    std::int64_t stream = 0;
    std::uint64_t of_connection = 0, of_stream = 0;
};

Ref<Allowance> allowance_of(Api& api, ConnectionRecord& connection, StreamRecord& stream) {
    auto allowance = Ref<Allowance>::adopt(new Allowance);
    allowance->connection = static_cast<Connection*>(static_cast<Handle*>(connection.handle));
    std::uint64_t id = 0;
    std::uint32_t size = sizeof id;
    EXPECT_EQ(api->get_param(stream.handle, abi::param_stream_id, &size, &id), abi::success);
    allowance->stream = static_cast<std::int64_t>(id);
    allowance->connection->worker().post_and_wait(Ref<Actor>::share(allowance.get()), {});
    return allowance;
}

TEST(Window, ReaderThatKeepsUp_NeverPromisesMoreThanTheLargestWindow) {
    Api api;
    Server server(api);
    Client client(api);
    client.connect(server.port);
    StreamRecord stream(api);
    stream.open(client.handle, false);
    ASSERT_EQ(stream.start(), abi::pending);
    // Far more than the window, so that what is promised beyond what was read would show.
    const std::size_t length = 3 * largest_window;
    std::string bytes(length, 'x');
    ASSERT_EQ(stream.send(bytes, false), abi::pending);
    StreamRecord& peer = *server.accept()->accept();
    ASSERT_TRUE(peer.until([&] { return peer.received.size() == length; }));

    const Ref<Allowance> allowance = allowance_of(api, client, stream);
    EXPECT_LE(allowance->of_connection, largest_window);
    EXPECT_LE(allowance->of_stream, largest_window);
    EXPECT_GT(allowance->of_connection, 0u);
}

TEST(Window, EndsWithoutBytes_WhileTheConnectionsWindowBlocksAnotherStream_ArriveAtOnce) {
    Api api;
    Server server(api, "kwik", {.connection_window = 64 * 1024, .stream_window = 1024 * 1024});
    Client client(api);
    client.connect(server.port);
    ConnectionRecord& accepted = *server.accept();

    StreamRecord known(api), blocked(api), fresh(api);
    known.open(client.handle, false);
    ASSERT_EQ(known.start(), abi::pending);
    std::string text = "x";
    ASSERT_EQ(known.send(text, false), abi::pending);
    StreamRecord& known_peer = *accepted.accept();
    ASSERT_TRUE(known_peer.until([&] { return known_peer.received == text; }));

    {
        std::lock_guard lock(accepted.mutex);
        accepted.prepare = [](StreamRecord& peer) { peer.limit = 0; };
    }
    blocked.open(client.handle, false);
    ASSERT_EQ(blocked.start(), abi::pending);
    std::string bytes(200'000, 'x');
    ASSERT_EQ(blocked.send(bytes, true), abi::pending);
    StreamRecord& blocked_peer = *accepted.accept();
    const auto is_blocked = [&] { return allowance_of(api, client, blocked)->of_connection == 0; };
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!is_blocked() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    ASSERT_TRUE(is_blocked());
    ASSERT_GT(allowance_of(api, client, blocked)->of_stream, 0u);

    ASSERT_EQ(api->stream_shutdown(known.handle, abi::shutdown_graceful, 0), abi::pending);
    ASSERT_TRUE(known_peer.wait(S::peer_send_shutdown));
    fresh.open(client.handle, false);
    ASSERT_EQ(fresh.start(), abi::pending);
    ASSERT_EQ(api->stream_shutdown(fresh.handle, abi::shutdown_graceful, 0), abi::pending);
    ASSERT_TRUE(accepted.accept()->wait(S::peer_send_shutdown));
    EXPECT_TRUE(is_blocked());

    {
        std::lock_guard lock(blocked_peer.mutex);
        blocked_peer.limit = UINT64_MAX;
    }
    ASSERT_EQ(api->stream_receive_set_enabled(blocked_peer.handle, 1), abi::success);
    ASSERT_TRUE(blocked_peer.wait(S::peer_send_shutdown));
    EXPECT_EQ(blocked_peer.received.size(), bytes.size());
}

}  // namespace
}  // namespace kwik::test
