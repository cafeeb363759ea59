// What a peer, or a stranger, may make the library keep, and no more.
#include "binding.h"
#include "library.h"
#include "socket_client.h"
#include "wire.h"

namespace kwik::test {
namespace {

using C = abi::ConnectionEvent;

TEST(Bounds, HandshakeMessages_UpToTheLimit_AreTakenAndOneByteMoreEndsTheConnection) {
    Api api;
    Server server(api);
    SocketClient client(server.port);
    // The server waits for the client's Finished, and the client has the keys to send it.
    client.validates = false;
    ASSERT_TRUE(client.run_until([&] { return client.endpoint.certificate_events == 1; }));
    ngtcp2_conn* const quic = client.endpoint.conn();
    // As long as GnuTLS takes, so that it only waits for the rest.
    constexpr std::uint8_t finished = 20;
    Bytes message(max_handshake);
    message[0] = finished;
    message[1] = max_handshake >> 16;
    ASSERT_EQ(ngtcp2_conn_submit_crypto_data(quic, NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE, message.data(), message.size()), 0);
    const auto in_flight = [quic] {
        ngtcp2_conn_info info;
        ngtcp2_conn_get_conn_info(quic, &info);
        return info.bytes_in_flight;
    };
    ASSERT_TRUE(client.run_until([&] { return in_flight() > 0; }));
    ASSERT_TRUE(client.run_until([&] { return in_flight() == 0; })) << ngtcp2_strerror(client.endpoint.error);

    ASSERT_EQ(ngtcp2_conn_submit_crypto_data(quic, NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE, message.data(), 1), 0);
    ASSERT_TRUE(client.run_until([&] { return client.endpoint.error == NGTCP2_ERR_DRAINING; })) << ngtcp2_strerror(client.endpoint.error);
    constexpr std::uint64_t crypto_buffer_exceeded = 0xd;
    EXPECT_EQ(client.endpoint.close_code_from_peer(), crypto_buffer_exceeded);
    ConnectionRecord& accepted = *server.accept();
    ASSERT_TRUE(accepted.wait(C::shutdown_complete));
    EXPECT_EQ(accepted.transport.error, crypto_buffer_exceeded);
}

// Keeps a worker busy while it lives.
class Occupied {
public:
    explicit Occupied(Worker& worker) {
        if (!worker.post(Ref<Actor>::share(gate_.get()), {})) throw std::bad_alloc{};
        gate_->reached.wait();
    }
    ~Occupied() { gate_->opened.signal(); }
    Occupied(const Occupied&) = delete;

private:
    struct Gate final : Actor {
        void execute(Command&) noexcept override {
            reached.signal();
            opened.wait();
        }
        Waiter reached, opened;
    };
    const Ref<Gate> gate_ = Ref<Gate>::adopt(new Gate);
};

struct Nothing final : Actor {
    void execute(Command&) noexcept override {}
};

// A datagram of a connection that nobody knows, and that belongs to a certain worker.
Bytes stray(const Worker& worker, std::size_t length) {
    Bytes datagram(length);
    datagram[0] = 0x40;
    const std::span id = std::span(datagram).subspan(1, cid_length);
    for (std::uint8_t& byte = id.front(); CidTable::worker_of(id, Library::running()->worker_count()) != worker.index(); ++byte) {}
    return datagram;
}

TEST(Bounds, DatagramsForABusyWorker_AboveTheLimit_AreDropped) {
    Api api;
    Server server(api);
    Library& library = *Library::running();
    Worker* reader;
    {
        std::lock_guard lock(library.bindings_mutex);
        ASSERT_EQ(library.bindings.size(), 1u);
        reader = &library.bindings.front()->reader();
    }
    Worker& busy = library.worker(reader->index() == 0 ? 1 : 0);
    constexpr std::size_t length = 30'000;
    const Bytes datagram = stray(busy, length), question = stray(*reader, 100);
    Socket socket;
    {
        const Occupied occupied(busy);
        for (std::size_t sent = 0; sent < Binding::max_undelivered * 5 / 4; sent += length) {
            socket.send(datagram, server.port);
            // The reader answers by a reset when it is past the one before.
            socket.send(question, server.port);
            ASSERT_TRUE(socket.receive());
            ASSERT_LE(busy.undelivered.load(), Binding::max_undelivered);
        }
        EXPECT_GT(busy.undelivered.load(), Binding::max_undelivered - 2 * length);
    }
    busy.post_and_wait(Ref<Actor>::adopt(new Nothing), {});
    EXPECT_EQ(busy.undelivered.load(), 0u);
    Client client(api);
    client.connect(server.port);
}

}  // namespace
}  // namespace kwik::test
