// What a server says without keeping anything: Retry packets and stateless resets. Over real sockets, with the test between the two ends.
#include <algorithm>
#include <array>
#include <vector>

#include "half_open.h"
#include "socket_client.h"
#include "tap.h"

namespace kwik::test {
namespace {

using C = abi::ConnectionEvent;
using ResetKey = std::array<std::uint8_t, 32>;

struct Stateless : testing::Test {
    ~Stateless() override { ask_for_proof(65); }  // MsQuic's default.
    void ask_for_proof(std::uint16_t share) { EXPECT_EQ(api->set_param(nullptr, abi::param_global_retry_memory, sizeof share, &share), abi::success); }
    void use(const ResetKey& key) { EXPECT_EQ(api->set_param(nullptr, abi::param_global_reset_key, static_cast<std::uint32_t>(key.size()), key.data()), abi::success); }
    static bool seen(ConnectionRecord& connection, C::Type type) {
        std::lock_guard lock(connection.mutex);
        return connection.seen(type);
    }
    Api api;
};

// ---------------------------------------------------------------------------------------------------- Retry

TEST_F(Stateless, Retry_AskedOfEveryClient_ConnectsAfterIt) {
    ask_for_proof(0);
    Server server(api);
    Tap tap(server.port);
    int retries = 0, others_before = 0;
    tap.to_client = [&](Bytes& packet) {
        if (is_retry(packet)) ++retries;
        else if (retries == 0) ++others_before;
        return true;
    };
    Client client(api);
    client.start(tap.port());
    ASSERT_TRUE(tap.run_until([&] { return seen(client, C::connected); }));
    EXPECT_EQ(retries, 1);
    EXPECT_EQ(others_before, 0);
    ConnectionRecord& accepted = *server.accept();
    EXPECT_TRUE(tap.run_until([&] { return seen(accepted, C::connected); }));
}

TEST_F(Stateless, Retry_NotNeeded_IsNotSent) {
    Server server(api);
    Tap tap(server.port);
    int retries = 0;
    tap.to_client = [&](Bytes& packet) { return retries += is_retry(packet), true; };
    Client client(api);
    client.start(tap.port());
    ASSERT_TRUE(tap.run_until([&] { return seen(client, C::connected); }));
    EXPECT_EQ(retries, 0);
}

TEST_F(Stateless, Retry_TokenSentFromAnotherAddress_IsRefused) {
    ask_for_proof(0);
    Server server(api);
    Tap tap(server.port);
    tap.to_client = [&](Bytes& packet) {
        if (is_retry(packet)) tap.rebind();
        return true;
    };
    Client client(api);
    client.start(tap.port());
    ASSERT_TRUE(tap.run_until([&] { return seen(client, C::shutdown_complete); }));
    EXPECT_EQ(client.transport.error, 0xbu);  // INVALID_TOKEN
    EXPECT_TRUE(server.connections.empty());
}

TEST_F(Stateless, Retry_DamagedToken_IsRefused) {
    ask_for_proof(0);
    Server server(api);
    Tap tap(server.port);
    bool retried = false;
    tap.to_client = [&](Bytes& packet) { return retried |= is_retry(packet), true; };
    tap.to_server = [&](Bytes& packet) {
        // First byte, version, both ids with their lengths, the token's length of two bytes; then the token, whose first byte says that it is a Retry's.
        if (retried) packet[7 + packet[5] + packet[6 + packet[5]] + 2 + 10] ^= 1;
        return true;
    };
    Client client(api);
    client.start(tap.port());
    ASSERT_TRUE(tap.run_until([&] { return seen(client, C::shutdown_complete); }));
    EXPECT_EQ(client.transport.error, 0xbu);
    EXPECT_TRUE(server.connections.empty());
}

TEST_F(Stateless, ParamRetryMemory_OfAnotherLength_IsInvalid) {
    const std::uint32_t share = 0;
    EXPECT_EQ(api->set_param(nullptr, abi::param_global_retry_memory, sizeof share, &share), abi::invalid_parameter);
}

TEST(HalfOpenCount, ManyHandshakes_AskForProofUntilTheyEnd) {
    HalfOpen::set_memory_share(1);
    std::vector<std::unique_ptr<HalfOpen>> handshakes;
    while (!HalfOpen::are_many()) {
        ASSERT_LT(handshakes.size(), 10'000'000u);
        handshakes.push_back(std::make_unique<HalfOpen>(true));
    }
    EXPECT_GT(handshakes.size(), 0u);
    const HalfOpen ours(false);
    handshakes.back()->end();
    EXPECT_FALSE(HalfOpen::are_many());
    handshakes.back()->end();  // The second end of the same one is none.
    handshakes.pop_back();
    handshakes.push_back(std::make_unique<HalfOpen>(true));
    EXPECT_TRUE(HalfOpen::are_many());
    HalfOpen::set_memory_share(65);
}

TEST_F(Stateless, ClientHello_InSeveralPacketsReordered_ConnectsAfterARetry) {
    Server server(api);
    SocketClient client(server.port, "kwik", 2'000);
    ASSERT_GE(client.flight.size(), 2u);
    // Both flights, before and after the Retry, arrive the wrong way round.
    client.reorder = true;
    ASSERT_TRUE(client.run_until([&] { return client.endpoint.completed == 1; })) << ngtcp2_strerror(client.endpoint.error);
    EXPECT_GE(client.retries, 1);
    ConnectionRecord& accepted = *server.accept();
    EXPECT_TRUE(client.run_until([&] { return seen(accepted, C::connected); }));
}

// ---------------------------------------------------------------------------------------------------- stateless reset

// Connects through a tap, makes the server forget the connection without a word, and lets the client speak.
struct Forgotten {
    explicit Forgotten(Api& api) : server(api), tap(server.port), client(api, "kwik", {.idle_ms = 120'000}) {
        client.start(tap.port());
        EXPECT_TRUE(tap.run_until([this] { return Stateless::seen(client, C::connected); }));
        ConnectionRecord& accepted = *server.accept();
        EXPECT_TRUE(tap.run_until([&] { return Stateless::seen(accepted, C::connected); }));
        api->connection_shutdown(accepted.handle, abi::connection_silent, 0);
        tap.to_client = [this](Bytes& packet) {
            // The connection that ended lingers for a tenth of a second and says nothing; then whatever comes is a reset.
            resets += !is_long(packet);
            return true;
        };
    }
    void speak(Api& api) {
        stream = std::make_unique<StreamRecord>(api);
        stream->open(client.handle, false);
        EXPECT_EQ(stream->start(), abi::pending);
        EXPECT_EQ(stream->send(text, false), abi::pending);
    }
    Server server;
    Tap tap;
    Client client;
    std::string text = std::string(2'000, 'x');
    std::unique_ptr<StreamRecord> stream;
    int resets = 0;
};

TEST_F(Stateless, Reset_ServerThatForgotTheConnection_EndsTheClientLongBeforeItsIdleTimeout) {
    Forgotten forgotten(api);
    forgotten.speak(api);
    ASSERT_TRUE(forgotten.tap.run_until([&] { return seen(forgotten.client, C::shutdown_complete); }));
    EXPECT_TRUE(seen(forgotten.client, C::shutdown_by_transport));
    EXPECT_EQ(forgotten.client.transport.status, abi::aborted);
    EXPECT_GT(forgotten.resets, 0);
}

TEST_F(Stateless, Reset_OfAnotherKey_IsNoReset_AndThatOfTheKeyGivenAgainIs) {
    const ResetKey key{1, 2, 3}, other{4, 5, 6};
    use(key);
    Forgotten forgotten(api);
    use(other);
    forgotten.speak(api);
    ASSERT_TRUE(forgotten.tap.run_until([&] { return forgotten.resets >= 2; }));
    EXPECT_FALSE(seen(forgotten.client, C::shutdown_complete));
    use(key);
    ASSERT_TRUE(forgotten.tap.run_until([&] { return seen(forgotten.client, C::shutdown_complete); }));
    EXPECT_EQ(forgotten.client.transport.status, abi::aborted);
}

TEST_F(Stateless, Reset_IsShorterThanWhatItAnswers_AndTheSmallestHaveNone) {
    Server server(api);
    Socket socket;
    for (std::size_t length = 1; length <= 21; ++length) socket.send(Bytes(length, 0x41), server.port);
    for (std::size_t length : {22u, 30u, 42u, 43u, 44u, 1'200u}) {
        socket.send(Bytes(length, 0x41), server.port);
        const auto answer = socket.receive();
        ASSERT_TRUE(answer);
        EXPECT_LT(answer->size(), length);  // An answer to one of the smallest would come here first.
        EXPECT_EQ(answer->size(), std::min<std::size_t>(length - 1, 42));
        EXPECT_EQ((*answer)[0] & 0xc0, 0x40);
    }
}

TEST_F(Stateless, ParamResetKey_OfAnotherLength_IsInvalid) {
    const std::uint8_t key[31] = {};
    EXPECT_EQ(api->set_param(nullptr, abi::param_global_reset_key, sizeof key, key), abi::invalid_parameter);
}

}  // namespace
}  // namespace kwik::test
