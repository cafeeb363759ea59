// What the tests of TLS share: credentials, and a client and a server that meet in memory.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "memory_endpoint.h"
#include "pki.h"
#include "tls.h"

namespace kwik::test {

inline constexpr std::uint32_t client_flags = 0x4015, server_flags = 0x4000, asking_server_flags = 0x4054;
inline constexpr std::uint64_t crypto_error = 0x100;  // RFC 9001, 4.8: plus the alert.
inline constexpr std::uint8_t alert_no_application_protocol = 120, alert_certificate_required = 116, alert_bad_certificate = 42;

inline Bytes wire_list(std::initializer_list<std::string> names) {
    Bytes list;
    for (const auto& name : names) {
        list.push_back(static_cast<std::uint8_t>(name.size()));
        list.insert(list.end(), name.begin(), name.end());
    }
    return list;
}

inline std::shared_ptr<const Credential> load(std::uint32_t flags, const Bytes& store = {}, std::uint32_t suites = 0) {
    std::shared_ptr<const Credential> credential;
    EXPECT_EQ(Credential::load({.flags = flags | (suites ? 0x2000 : 0), .pkcs12 = store, .allowed_cipher_suites = suites}, credential), 0u);
    return credential;
}

// Keys of stores are derived slowly on purpose, so the tests share the server's.
inline const Identity& server_identity() {
    static const Identity identity = make_identity("kwik.test");
    return identity;
}

inline std::shared_ptr<const Credential> server_credential() {
    static const auto credential = load(server_flags, make_store(server_identity()));
    return credential;
}

inline std::shared_ptr<const Credential> asking_server_credential() {
    static const auto credential = load(asking_server_flags, make_store(server_identity()));
    return credential;
}

inline std::string text(std::span<const std::uint8_t> bytes) { return {bytes.begin(), bytes.end()}; }

class Tls : public testing::Test {
protected:
    Tls() { original_dcid_.datalen = 18; }

    void start(std::shared_ptr<const Credential> client, std::shared_ptr<const Credential> server) {
        client_.start_client(TlsSession::client(std::move(client), client_alpn_, server_name_), original_dcid_);
        server_.start_server(TlsSession::server(std::move(server), server_alpn_), client_.scid(), original_dcid_);
    }

    // Exchanges packets, none lost, until both sides have nothing to say. Timers are not fired: nothing here needs them.
    void run() {
        for (bool active = true; active;) {
            active = false;
            for (auto [from, to] : {std::pair{&client_, &server_}, std::pair{&server_, &client_}}) {
                while (auto packet = from->write(now_ += NGTCP2_MILLISECONDS)) {
                    active = true;
                    to->read(*packet, now_ += NGTCP2_MILLISECONDS);
                }
            }
        }
    }

    void accept_on(Endpoint& side) { side.answer(true, 0, now_ += NGTCP2_MILLISECONDS); }
    void reject_on(Endpoint& side, std::uint32_t alert) { side.answer(false, alert, now_ += NGTCP2_MILLISECONDS); }

    // A whole handshake of a client that accepts; for tests of what is known after it.
    void connect(std::shared_ptr<const Credential> client, std::shared_ptr<const Credential> server) {
        start(std::move(client), std::move(server));
        run();
        ASSERT_TRUE(client_.tls().certificate_pending());
        accept_on(client_);
        run();
        ASSERT_EQ(client_.completed, 1);
    }

    void expect_both_completed() {
        EXPECT_EQ(client_.completed, 1);
        EXPECT_EQ(server_.completed, 1);
        EXPECT_EQ(client_.error, 0);
        EXPECT_EQ(server_.error, 0);
    }

    Bytes client_alpn_ = wire_list({"kwik/1"});
    Bytes server_alpn_ = wire_list({"kwik/1"});
    std::string server_name_ = "kwik.test";
    ngtcp2_cid original_dcid_{};
    ngtcp2_tstamp now_ = 1;
    Endpoint client_{false}, server_{true};
};

}  // namespace kwik::test
