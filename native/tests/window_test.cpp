// What the peer may send without being read: never more than the largest window, however much was read before.
#include <string>

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

    auto allowance = Ref<Allowance>::adopt(new Allowance);
    allowance->connection = static_cast<Connection*>(static_cast<Handle*>(client.handle));
    std::uint64_t id = 0;
    std::uint32_t size = sizeof id;
    ASSERT_EQ(api->get_param(stream.handle, abi::param_stream_id, &size, &id), abi::success);
    allowance->stream = static_cast<std::int64_t>(id);
    allowance->connection->worker().post_and_wait(Ref<Actor>::share(allowance.get()), {});
    EXPECT_LE(allowance->of_connection, largest_window);
    EXPECT_LE(allowance->of_stream, largest_window);
    EXPECT_GT(allowance->of_connection, 0u);
}

}  // namespace
}  // namespace kwik::test
