// What a peer, or a stranger, may make the library keep, and no more.
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

}  // namespace
}  // namespace kwik::test
