// Keys are updated before they have sealed as many packets as RFC 9001, 6.6 allows: ngtcp2 does it by itself at its limit of 2^23 packets for AES-GCM. That is 12 GB, so the limit is lowered
// here, by standing between the library and the function that sets it (see CMakeLists.txt); nothing of the library knows.
#include <ngtcp2/ngtcp2_crypto.h>

#include <atomic>

#include "loopback.h"

namespace {
// Three probe timeouts, the least time between two updates (RFC 9001, 6.5), are about 80 ms here, in which less than half as many packets can be sent.
constexpr std::uint64_t packets_per_key = 60'000;
std::atomic<unsigned> prepared{0};
}  // namespace

extern "C" {
ngtcp2_crypto_ctx* __real_ngtcp2_crypto_ctx_tls(ngtcp2_crypto_ctx* context, void* tls);
ngtcp2_crypto_ctx* __wrap_ngtcp2_crypto_ctx_tls(ngtcp2_crypto_ctx* context, void* tls) {
    ngtcp2_crypto_ctx* made = __real_ngtcp2_crypto_ctx_tls(context, tls);
    if (made != nullptr) made->max_encryption = packets_per_key;
    return made;
}

int __real_ngtcp2_crypto_update_key_cb(ngtcp2_conn*, std::uint8_t*, std::uint8_t*, ngtcp2_crypto_aead_ctx*, std::uint8_t*, ngtcp2_crypto_aead_ctx*, std::uint8_t*, const std::uint8_t*,
                                       const std::uint8_t*, std::size_t, void*);
int __wrap_ngtcp2_crypto_update_key_cb(ngtcp2_conn* quic, std::uint8_t* rx_secret, std::uint8_t* tx_secret, ngtcp2_crypto_aead_ctx* rx_context, std::uint8_t* rx_iv,
                                       ngtcp2_crypto_aead_ctx* tx_context, std::uint8_t* tx_iv, const std::uint8_t* rx_now, const std::uint8_t* tx_now, std::size_t length, void* user_data) {
    ++prepared;
    return __real_ngtcp2_crypto_update_key_cb(quic, rx_secret, tx_secret, rx_context, rx_iv, tx_context, tx_iv, rx_now, tx_now, length, user_data);
}
}

namespace kwik::test {
namespace {

using S = abi::StreamEvent;

TEST(KeyUpdate, BulkBeyondTheLimitOfAKey_UpdatesItAndEveryByteArrives) {
    constexpr int streams = 6;
    constexpr std::size_t bytes_per_stream = 80'000'000;
    Api api;
    Server server(api);
    Client client(api);
    client.connect(server.port);
    ConnectionRecord& accepted = *server.accept();
    std::string bytes(bytes_per_stream, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 2654435761u >> 13);
    for (int i = 0; i < streams; ++i) {
        StreamRecord stream(api);
        stream.open(client.handle, true);
        ASSERT_EQ(stream.start(), abi::pending);
        bytes[0] = static_cast<char>(i);
        ASSERT_EQ(stream.send(bytes, true), abi::pending);
        StreamRecord& peer = *accepted.accept();
        ASSERT_TRUE(peer.wait(S::peer_send_shutdown)) << "stream " << i << " stopped at " << peer.received.size() << ", status " << client.transport.status;
        EXPECT_TRUE(peer.received == bytes) << peer.received.size();
        ASSERT_TRUE(stream.wait(S::shutdown_complete));
        peer.close();
        std::string().swap(peer.received);
    }
    // Each side prepares its next keys once at the start, and once more after each update. 80 MB are 55,000 packets at least.
    constexpr unsigned updates = streams * (bytes_per_stream / 1452) / packets_per_key;
    static_assert(updates >= 4);
    EXPECT_GE(prepared.load(), 2 * (1 + updates));
}

}  // namespace
}  // namespace kwik::test
