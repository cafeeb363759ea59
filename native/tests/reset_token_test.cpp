// The tokens of stateless resets that both sides give out with their connection ids, as they are in the packets: this stands between the library and the function that seals them (see CMakeLists.txt).
#include <algorithm>
#include <array>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "connection.h"
#include "loopback.h"
#include "tokens.h"

namespace {
std::mutex packets_mutex;
std::vector<std::vector<std::uint8_t>> packets;  // Guarded by it; what 1-RTT packets contain.
}  // namespace

extern "C" {
int __real_ngtcp2_crypto_encrypt_cb(std::uint8_t*, const ngtcp2_crypto_aead*, const ngtcp2_crypto_aead_ctx*, const std::uint8_t*, std::size_t, const std::uint8_t*, std::size_t,
                                    const std::uint8_t*, std::size_t);
int __wrap_ngtcp2_crypto_encrypt_cb(std::uint8_t* out, const ngtcp2_crypto_aead* aead, const ngtcp2_crypto_aead_ctx* context, const std::uint8_t* content, std::size_t length,
                                    const std::uint8_t* nonce, std::size_t nonce_length, const std::uint8_t* header, std::size_t header_length) {
    if ((header[0] & 0x80) == 0) {
        std::lock_guard lock(packets_mutex);
        packets.emplace_back(content, content + length);
    }
    return __real_ngtcp2_crypto_encrypt_cb(out, aead, context, content, length, nonce, nonce_length, header, header_length);
}
}

namespace kwik::test {
namespace {

using C = abi::ConnectionEvent;
using S = abi::StreamEvent;
using Token = std::array<std::uint8_t, NGTCP2_STATELESS_RESET_TOKENLEN>;

// Asks a connection, on its worker, for the ids that it gave out.
struct Ids final : Actor {
    void execute(Command&) noexcept override {
        ngtcp2_conn* const quic = connection->quic();
        given.resize(ngtcp2_conn_get_scid(quic, nullptr));
        ngtcp2_conn_get_scid(quic, given.data());
    }
    Connection* connection = nullptr;
    std::vector<ngtcp2_cid> given;
};

std::vector<ngtcp2_cid> ids_of(ConnectionRecord& record) {
    auto ids = Ref<Ids>::adopt(new Ids);
    ids->connection = static_cast<Connection*>(static_cast<Handle*>(record.handle));
    ids->connection->worker().post_and_wait(Ref<Actor>::share(ids.get()), {});
    return ids->given;
}

// What follows the id in a NEW_CONNECTION_ID frame (RFC 9000, 19.15); nothing for the first id, which has none.
std::optional<Token> sent_token(const ngtcp2_cid& id) {
    std::lock_guard lock(packets_mutex);
    for (const auto& content : packets) {
        const auto at = std::search(content.begin(), content.end(), id.data, id.data + id.datalen) - content.begin() + static_cast<std::ptrdiff_t>(id.datalen);
        Token token;
        if (at + static_cast<std::ptrdiff_t>(token.size()) > static_cast<std::ptrdiff_t>(content.size())) continue;
        std::copy_n(content.begin() + at, token.size(), token.begin());
        return token;
    }
    return {};
}

Token derived_token(const ngtcp2_cid& id) {
    std::uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN];
    EXPECT_TRUE(Tokens::make_reset_token(id, token));
    return std::to_array(token);
}

TEST(ResetTokens, OfAServer_ComeFromItsKey_AndOfAClientDoNot) {
    Api api;
    Server server(api);
    Client client(api);
    client.connect(server.port);
    ConnectionRecord& accepted = *server.accept();
    ASSERT_TRUE(accepted.wait(C::connected));
    // Both have sent packets after the handshake, which new ids are the first to be in.
    StreamRecord stream(api);
    stream.open(client.handle, false);
    ASSERT_EQ(stream.start(), abi::pending);
    std::string text = "x";
    ASSERT_EQ(stream.send(text, true), abi::pending);
    StreamRecord& peer = *accepted.accept();
    ASSERT_TRUE(peer.wait(S::peer_send_shutdown));
    ASSERT_EQ(peer.send(text, true), abi::pending);
    ASSERT_TRUE(stream.wait(S::shutdown_complete));

    std::set<Token> of_server, of_client;
    for (const ngtcp2_cid& id : ids_of(accepted)) {
        const auto token = sent_token(id);
        if (!token) continue;
        EXPECT_EQ(*token, derived_token(id));
        of_server.insert(*token);
    }
    for (const ngtcp2_cid& id : ids_of(client)) {
        const auto token = sent_token(id);
        if (!token) continue;
        EXPECT_NE(*token, derived_token(id));
        of_client.insert(*token);
    }
    // Of the four that the other side keeps, the first came with the handshake.
    EXPECT_EQ(of_server.size(), 3u);
    EXPECT_EQ(of_client.size(), 3u);
}

}  // namespace
}  // namespace kwik::test
